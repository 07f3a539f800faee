#include "framework/checkpoint/document.hpp"
#include "fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  const std::filesystem::path path = file.with({data, size});
  fuzz::read_or_refuse("[checkpoint] load: ", [&] { vg::checkpoint::read(path); });
  return 0;
}
