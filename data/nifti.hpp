// NIfTI volumes (.nii, .nii.gz), the usual format of MRI research. Axes are nibabel's: element (i, j, k) is voxel (x,
// y, z).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "voxgrad/data/volume.hpp"
#include "voxgrad/framework/base/dtype.hpp"

namespace vg {

/// How a voxel is stored in a file.
enum class NiftiType : std::uint8_t { uint8, int8, int16, uint16, int32, uint32, int64, uint64, float32, float64 };

/// Reads a NIfTI-1 or NIfTI-2 file of either byte order, plain or gzip (told by its content, not by its name).
///
/// data: (H, W, D) for a file of up to 3 dimensions, (H, W, D, C) for more: the dimensions 4 to 7 (time, vector) become
/// channels in the file's order. Values are stored * scl_slope + scl_inter, computed in double and rounded to `dtype`;
/// a slope of 0 means none. With i32 every value must be a whole number of 32 bits (labels). affine: the sform when its
/// code is set, else the qform, else the voxel sizes on the diagonal (nibabel centres and mirrors that last case). In
/// mm: a file in metres or microns is converted. Throws IoError naming the file and what is wrong: missing, empty,
/// truncated, not NIfTI, dimensions that are not positive or need more data than the file can hold (found before memory
/// is taken), a type other than those above, a slope, intercept or affine that is not finite or is singular, a damaged
/// gzip stream, voxels that are no labels. Header/image pairs (.hdr/.img) are not read.
///
/// Memory beside the result: 8 MiB; of a gzip file also an eighth of its voxels' bytes, which is read before the
/// result's memory is taken: a header may claim what the stream does not hold.
Volume read_nifti(const std::filesystem::path& path, DType dtype = f32);

/// read_nifti(path, i32).
Volume read_nifti_labels(const std::filesystem::path& path);

/// Writes (H, W, D) or (H, W, D, C) data, compressed when the name ends in .nii.gz. Without `type` a voxel is stored in
/// the tensor's dtype. The file appears whole or not at all: it is written under another name beside it, then renamed.
/// The header is NIfTI-1 (affine in float32), or NIfTI-2 when an extent passes 32767. No scaling is applied: an integer
/// `type` takes only whole numbers in its range; float32 rounds. Throws ValueError for a name that ends in neither .nii
/// nor .nii.gz, an empty or wrongly shaped volume, an affine that is singular or not finite, a value that the type does
/// not hold (naming the voxel); IoError when the file cannot be written.
void write_nifti(const std::filesystem::path& path, const Volume& volume, std::optional<NiftiType> type = std::nullopt);

}  // namespace vg
