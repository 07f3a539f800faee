// A generated dataset for classification: voxelised solids in random poses. For examples and tests without a download.
#pragma once

#include <cstdint>
#include <string_view>

#include "voxgrad/data/dataset.hpp"
#include "voxgrad/framework/base/random.hpp"

namespace vg {

/// Labels 0 to 7.
enum class ShapeKind : std::uint8_t { sphere, box, cylinder, cone, torus, pyramid, octahedron, cross };
inline constexpr std::int64_t shape_kinds = 8;
/// "sphere" ... "cross". Throws ValueError for a label outside [0, shape_kinds).
std::string_view shape_name(std::int64_t label);

struct ShapesOptions {
  std::int64_t count = 1024;  ///< number of samples; the kinds alternate, so they are balanced
  std::int64_t size = 32;     ///< N: the grid has N^3 voxels; at least 8
  /// The radius of the ball around the solid, as a fraction of N / 2, is drawn uniformly from this range within (0, 1].
  double smallest = 0.6;
  double largest = 0.95;
  double noise = 0.1;      ///< standard deviation of the normal noise added to every voxel
  std::uint64_t seed = 0;  ///< datasets of different seeds share no sample, for example training and test
};

/// Sample i: x (N, N, N, 1) f32 is 1 inside the solid and 0 outside, plus noise; y is its kind, a scalar i32. The solid
/// has a uniformly random rotation and a random position at which the ball around it fits into the grid. The sample is
/// a function of (seed, i) and the options.
class ShapesDataset : public Dataset {
 public:
  /// Throws ValueError for a count below 0, a size below 8 or above 1024, a range outside (0, 1] or with smallest above
  /// largest, and negative noise.
  explicit ShapesDataset(const ShapesOptions& options = {});
  std::int64_t size() const override { return options_.count; }
  Sample get(std::int64_t index) const override;

 private:
  ShapesOptions options_;
};

}  // namespace vg
