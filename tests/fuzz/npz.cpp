// Reads an archive. If the bytes begin like a .npy file, the target makes an archive of that file with the right
// checksum, which the fuzzer could hardly find.
#include "fuzz/fuzz.hpp"
#include "support/zip_by_hand.hpp"
#include "voxgrad/framework/formats/tensor_files.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.starts_with("\x93NUMPY")) bytes = vg::test::Zip{{{"array.npy", bytes}}}.bytes();
  fuzz::read_or_refuse("[read_npz] fuzz: ", [&] {
    const vg::detail::RandomAccessFile source("[read_npz]", "fuzz",
                                              {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
    std::int64_t total = 0;
    for (const auto& [name, tensor] : vg::detail::read_npz(source)) total += tensor.bytes();
    // Deflate expands a byte to at most 1032 bytes, and each becomes at most four bytes of a tensor (b1 to i32).
    fuzz::require(total <= 4 * 1032 * source.size(), "tensors larger than the file can hold");
  });
  return 0;
}
