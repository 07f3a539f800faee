// Distances between the surfaces of segmented regions.
//
//   vg::Volume truth = vg::read_nifti("truth.nii.gz", vg::i32), guess = vg::read_nifti("guess.nii.gz", vg::i32);
//   const double mm = vg::hausdorff_distance(guess.data, truth.data, 1, {.spacing = truth.spacing()});  // class 1,
//   HD95 const vg::Tensor far = vg::distance_transform(truth.data);   // from each voxel to the nearest one that is not
//   0
#pragma once

#include <array>
#include <cstdint>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// The exact Euclidean distance from each voxel of `mask` (H, W, D), any dtype, to the nearest one that is not zero:
/// f64 (H, W, D), 0 at those voxels, infinity where there are none. `spacing` is a voxel's size along each axis. Linear
/// time (P. Felzenszwalb, D. Huttenlocher: Distance transforms of sampled functions, 2012). Throws ValueError for
/// another rank and for a spacing that is not finite and greater than 0.
Tensor distance_transform(const Tensor& mask, const std::array<double, 3>& spacing = {1, 1, 1});

struct HausdorffOptions {
  double percentile = 95;  ///< in [0, 100]; 100 is the largest distance, the Hausdorff distance itself
  std::array<double, 3> spacing = {1, 1, 1};  ///< a voxel's size along each axis
  bool directed = false;                      ///< only from the prediction's surface to the labels'
};
/// How far apart the surfaces of a class are in two volumes of labels, i32 (H, W, D): the percentile of the distances
/// from each surface voxel of one to the other's surface, in both directions, the larger of the two. A surface voxel is
/// one of the class with one of its six neighbours outside it, or outside the volume; between two ranks a percentile is
/// interpolated, as numpy does. NaN when the class is in neither, infinity when it is in one only. The numbers of
/// MONAI's compute_hausdorff_distance (which with a percentile says NaN for the latter, too). Throws ValueError for
/// other ranks, shapes that differ and options that are not allowed, TypeError for labels that are not i32.
double hausdorff_distance(const Tensor& predicted, const Tensor& labels, std::int32_t label,
                          const HausdorffOptions& options = {});

namespace detail {
/// The same on memory, both volumes of that extent; arguments are checked before.
double hausdorff(const std::int32_t* predicted, const std::int32_t* labels, const Triple& extent, std::int32_t label,
                 const HausdorffOptions& options);
void check_hausdorff(const char* where, const HausdorffOptions& options);
}  // namespace detail

}  // namespace vg
