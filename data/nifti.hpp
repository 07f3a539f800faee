// NIfTI volumes (.nii, .nii.gz), the usual format of MRI research. The axes are nibabel's: element (i, j, k) is voxel
// (x, y, z).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "voxgrad/data/volume.hpp"
#include "voxgrad/framework/base/dtype.hpp"

namespace vg {

/// The type of a voxel in a file.
enum class NiftiType : std::uint8_t { uint8, int8, int16, uint16, int32, uint32, int64, uint64, float32, float64 };

/// Reads a NIfTI-1 or NIfTI-2 file of either byte order, plain or gzip (recognised by content, not by name).
///
/// data: (H, W, D) for a file of up to 3 dimensions, (H, W, D, C) for more: the dimensions 4 to 7 (time, vector) become
/// channels in the file's order. Values are stored * scl_slope + scl_inter, computed in double and rounded to `dtype`;
/// a slope of 0 means no scaling. With i32 every value must be a whole number of 32 bits (labels). affine: the sform if
/// its code is set, else the qform, else the voxel sizes on the diagonal (nibabel centres and mirrors that last case).
/// It is in mm; a file in metres or microns is converted. Throws IoError naming the file and the problem: a file that
/// is missing, empty, truncated or not NIfTI; dimensions that are not positive or need more data than the file can hold
/// (found before memory is allocated); a type other than those above; a slope or intercept that is not finite; an
/// affine that is not finite or is singular; a damaged gzip stream; voxels that are not labels. Header/image pairs
/// (.hdr/.img) are not read.
///
/// Memory beside the result: 8 MiB. For a gzip file also an eighth of its voxels' bytes, which are read before the
/// result is allocated, because a header may claim more than the stream holds.
Volume read_nifti(const std::filesystem::path& path, DType dtype = f32);

/// read_nifti(path, i32).
Volume read_nifti_labels(const std::filesystem::path& path);

/// Writes (H, W, D) or (H, W, D, C) data, compressed if the name ends in .nii.gz. Without `type`, voxels are stored in
/// the tensor's dtype. The file appears complete or not at all: it is written under another name in the same folder,
/// then renamed. The header is NIfTI-1 (affine in float32), or NIfTI-2 if an extent exceeds 32767. No scaling is
/// applied: an integer `type` accepts only whole numbers in its range; float32 rounds. Throws ValueError for a name
/// that ends in neither .nii nor .nii.gz, an empty or wrongly shaped volume, an affine that is singular or not finite,
/// and a value that the type cannot hold (naming the voxel); throws IoError if the file cannot be written.
void write_nifti(const std::filesystem::path& path, const Volume& volume, std::optional<NiftiType> type = std::nullopt);

}  // namespace vg
