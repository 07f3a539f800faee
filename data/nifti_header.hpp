// Reads and writes NIfTI-1 and NIfTI-2 headers; every field is checked before it is used. Internal to data/. This
// header and its source are the only files that use libnifti2: its header structs, byte swap and quaternions. Its own
// reader is not used, because it prints messages and trusts the sizes that a file declares.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "voxgrad/data/nifti.hpp"
#include "voxgrad/data/volume.hpp"

namespace vg::detail {

/// The fields of a header that the reader uses. Each one is checked.
struct NiftiHeader {
  bool swapped = false;          ///< the file has the other byte order
  NiftiType type{};              ///< of a stored voxel
  int rank = 0;                  ///< 1 to 7, as declared
  Triple extent{1, 1, 1};        ///< x, y, z
  std::int64_t channels = 1;     ///< the product of dimensions 4 to 7
  std::int64_t data_offset = 0;  ///< bytes from the file's start
  std::int64_t data_bytes = 0;   ///< needed by the dimensions and the type; data_offset + data_bytes does not overflow
  double slope = 1;              ///< value = stored * slope + intercept
  double intercept = 0;
  Affine affine = identity_affine;
};

inline constexpr std::size_t nifti1_header_bytes = 348;
inline constexpr std::size_t nifti2_header_bytes = 540;

/// The size of the header that begins with these bytes (348 or 540). Throws IoError naming `file` if they do not begin
/// a header.
std::size_t nifti_header_size(const std::string& file, std::span<const unsigned char, 4> first);
/// Reads and checks a header of nifti_header_size() bytes. Throws IoError naming `file` and the field.
NiftiHeader parse_nifti_header(const std::string& file, std::span<const unsigned char> bytes);
/// The header for a volume and the empty extension flag after it (352 or 544 bytes; the data follow). It is NIfTI-1
/// unless an extent exceeds 32767.
std::string make_nifti_header(const Volume& volume, NiftiType type);

/// The bytes per stored voxel, and the name ("uint8") of a type.
std::int64_t size_of(NiftiType type);
std::string_view name_of(NiftiType type);

}  // namespace vg::detail
