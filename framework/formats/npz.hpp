// numpy's .npz: arrays by name, each a .npy file within a zip archive.
#pragma once

#include <filesystem>

#include "voxgrad/framework/formats/named_tensors.hpp"

namespace vg {

/// Reads what np.savez and np.savez_compressed write, in the archive's order; "weight.npy" is named "weight". f4, f8
/// and i4 of either byte order come bit for bit; f2 becomes f32 (exact); b1, u1, i1, u2, i2 and, where every value
/// fits, u4, i8 and u8 become i32. Fortran order becomes row-major. Data are never run: pickled objects are refused.
///
/// Throws IoError naming the file, the entry and what is wrong: no zip archive, or one that is damaged, encrypted,
/// split, or packed otherwise than stored or deflated; entries that overlap or bear one name; a checksum that is not
/// the data's; a .npy header that is not exactly numpy's; sizes that disagree with each other or that the packed bytes
/// cannot hold (found before memory is taken); more than 8 dimensions; any other type of element.
///
/// Memory: the tensors, at most 4 bytes for each stored one (in Fortran's order twice that for one of them), and at
/// most 40 bytes for each byte of the directory. Of a deflated array an eighth is unpacked before its tensor's memory
/// is taken.
NamedTensors read_npz(const std::filesystem::path& path);

struct NpzOptions {
  bool compress = false;  ///< deflate, as np.savez_compressed
};

/// Writes an archive that np.load reads; with zip64 records where it passes 4 GiB or 65534 entries. The same tensors
/// give the same bytes. The file appears whole or not at all. Throws ValueError for a name twice, an empty name or one
/// that is not UTF-8, has a zero byte or over 65000 bytes, an undefined tensor, and for a name that leads out of the
/// folder into which the archive is unpacked ("../x", "/x", "C:/x", any backslash); IoError when the file cannot be
/// written. Deflated, memory for the largest packed tensor is needed.
void write_npz(const std::filesystem::path& path, const NamedTensors& tensors, const NpzOptions& options = {});

}  // namespace vg
