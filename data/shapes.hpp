// A dataset out of nothing: voxelised solids in random pose, to be told apart. For examples and tests that need no
// download.
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
  std::int64_t count = 1024;  ///< samples; the kinds come in turn, so they are balanced
  std::int64_t size = 32;     ///< N: the grid has N^3 voxels; at least 8
  /// The radius of the ball round the solid as a part of N / 2, drawn evenly from this range within (0, 1].
  double smallest = 0.6;
  double largest = 0.95;
  double noise = 0.1;      ///< standard deviation of the normal noise on every voxel
  std::uint64_t seed = 0;  ///< two datasets of different seeds share no sample: training and test
};

/// Sample i: x (N, N, N, 1) f32, 1 inside the solid and 0 outside, plus noise; y its kind, a scalar i32. The solid is
/// turned by a uniformly random rotation and moved to where the ball round it still fits into the grid. A function of
/// (seed, i) and the options.
class ShapesDataset : public Dataset {
 public:
  /// Throws ValueError for a count below 0, a size below 8 or over 1024, a range outside (0, 1] or upside down,
  /// negative noise.
  explicit ShapesDataset(const ShapesOptions& options = {});
  std::int64_t size() const override { return options_.count; }
  Sample get(std::int64_t index) const override;

 private:
  ShapesOptions options_;
};

}  // namespace vg
