#include "voxgrad/data/nifti.hpp"
#include "fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  const std::filesystem::path path = file.with({data, size});
  const vg::DType dtypes[] = {vg::f32, vg::f64, vg::i32};
  fuzz::read_or_refuse("[read_nifti] /proc/self/fd/", [&] {
    const vg::Volume volume = vg::read_nifti(path, dtypes[size % 3]);
    // Deflate expands a byte to at most 1032 bytes, and each becomes at most eight bytes of a tensor (uint8 to f64).
    fuzz::require(volume.data.bytes() <= 8 * 1032 * static_cast<std::int64_t>(size),
                  "a volume larger than the file can hold");
  });
  return 0;
}
