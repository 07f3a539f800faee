#include "fuzz/fuzz.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"

namespace {

template <class Tensors>
std::int64_t bytes_of(const Tensors& tensors) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += tensor.bytes();
  return bytes;
}

std::int64_t bytes_of(const vg::StateDict& bundle) {
  std::int64_t bytes = bytes_of(bundle.tensors);
  for (const auto& [name, part] : bundle.parts) bytes += bytes_of(part);
  return bytes;
}

std::int64_t bytes_of(const vg::checkpoint::Document& document) {
  std::int64_t bytes = document.optimizer ? bytes_of(*document.optimizer) : 0;
  for (const auto& [name, part] : document.parts) bytes += bytes_of(part);
  if (document.model)
    for (const auto& [path, state] : document.model->states) bytes += bytes_of(state.leaves);
  return bytes;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  const std::filesystem::path path = file.with({data, size});
  fuzz::read_or_refuse("[checkpoint] load: ", [&] {
    // A number has at least two bytes, a digit and a separator, and becomes at most eight bytes of a tensor.
    fuzz::require(bytes_of(vg::checkpoint::read(path)) <= 4 * static_cast<std::int64_t>(size),
                  "tensors larger than the file can hold");
  });
  return 0;
}
