#include "fuzz/fuzz.hpp"
#include "voxgrad/framework/formats/tensor_files.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::read_or_refuse("[read_safetensors] fuzz: ", [&] {
    const vg::detail::RandomAccessFile source("[read_safetensors]", "fuzz", {data, size});
    std::int64_t bytes = 0;
    for (const auto& [name, tensor] : vg::detail::read_safetensors(source).tensors) bytes += tensor.bytes();
    // A byte of the file becomes at most four bytes of a tensor (BOOL to i32).
    fuzz::require(bytes <= 4 * source.size(), "tensors larger than the file can hold");
  });
  return 0;
}
