// Distances between the surfaces of segmented regions.
//
//   vg::Volume truth = vg::read_nifti("truth.nii.gz", vg::i32), guess = vg::read_nifti("guess.nii.gz", vg::i32);
//   // The HD95 of class 1, in mm:
//   const double mm = vg::hausdorff_distance(guess.data, truth.data, 1, {.spacing = truth.spacing()});
//   // From each voxel to the nearest one that is not 0:
//   const vg::Tensor distances = vg::distance_transform(truth.data);
#pragma once

#include <array>
#include <cstdint>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// The exact Euclidean distance from each voxel of `mask` (H, W, D), of any dtype, to the nearest voxel that is not
/// zero: f64 (H, W, D), which is 0 at those voxels, and infinity if there are none. `spacing` is a voxel's size along
/// each axis. Takes linear time (P. Felzenszwalb, D. Huttenlocher: Distance transforms of sampled functions, 2012).
/// Throws ValueError for another rank and for a spacing that is not finite and greater than 0.
Tensor distance_transform(const Tensor& mask, const std::array<double, 3>& spacing = {1, 1, 1});

struct HausdorffOptions {
  double percentile = 95;                     ///< in [0, 100]; 100 gives the largest distance, the Hausdorff distance
  std::array<double, 3> spacing = {1, 1, 1};  ///< a voxel's size along each axis
  bool directed = false;                      ///< use only the distances from the prediction's surface to the labels'
};
/// The distance between the surfaces of a class in two volumes of labels, i32 (H, W, D): the percentile of the
/// distances from each surface voxel of one volume to the other's surface; of the two directions, the larger value. A
/// surface voxel belongs to the class and has one of its six neighbours outside the class or the volume. Percentiles
/// are interpolated between ranks, as in numpy. The result is NaN if the class is in neither volume, and infinity if it
/// is in only one. It equals MONAI's compute_hausdorff_distance (which, with a percentile, also gives NaN for the
/// latter). Throws ValueError for other ranks, different shapes and options that are not allowed, and TypeError for
/// labels that are not i32.
double hausdorff_distance(const Tensor& predicted, const Tensor& labels, std::int32_t label,
                          const HausdorffOptions& options = {});

namespace detail {
/// The same on raw memory, for volumes of that extent. The arguments must be checked before.
double hausdorff(const std::int32_t* predicted, const std::int32_t* labels, const Triple& extent, std::int32_t label,
                 const HausdorffOptions& options);
void check_hausdorff(const char* where, const HausdorffOptions& options);
}  // namespace detail

}  // namespace vg
