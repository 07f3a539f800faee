// numpy's .npz format: named arrays, each a .npy file in a zip archive.
#pragma once

#include <filesystem>

#include "voxgrad/framework/formats/named_tensors.hpp"

namespace vg {

/// Reads archives of np.savez and np.savez_compressed, in the archive's order; "weight.npy" is named "weight". f4, f8
/// and i4 of either byte order are read bit for bit; f2 becomes f32 (exact); b1, u1, i1, u2, i2 and, if every value
/// fits, u4, i8 and u8 become i32. Fortran order becomes row-major. Nothing in the file is executed: pickled objects
/// are refused.
///
/// Throws IoError with the file, the entry and the problem: a file that is not a zip archive, or is damaged, encrypted,
/// split, or packed by a method other than stored or deflated; entries that overlap or have the same name; a wrong
/// checksum; a .npy header that is not exactly numpy's; sizes that disagree with each other or exceed what the packed
/// bytes can hold (found before memory is allocated); more than 8 dimensions; any other element type.
///
/// Memory: the tensors, at most 4 bytes per stored byte (in Fortran order, twice that for one tensor at a time), and at
/// most 40 bytes per byte of the directory. An eighth of a deflated array is unpacked before its tensor is allocated.
NamedTensors read_npz(const std::filesystem::path& path);

struct NpzOptions {
  bool compress = false;  ///< deflate the entries, as np.savez_compressed does
};

/// Writes an archive that np.load reads, with zip64 records if it exceeds 4 GiB or 65534 entries. The same tensors give
/// the same bytes. The file appears complete or not at all. Throws ValueError for a repeated name, a name that is
/// empty, is not UTF-8, has a zero byte or has over 65000 bytes, a name that leads out of the folder into which the
/// archive is unpacked ("../x", "/x", "C:/x", any backslash), and an undefined tensor; throws IoError if the file
/// cannot be written. Compression needs memory for the largest packed tensor.
void write_npz(const std::filesystem::path& path, const NamedTensors& tensors, const NpzOptions& options = {});

}  // namespace vg
