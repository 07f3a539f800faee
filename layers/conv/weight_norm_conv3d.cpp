#include "voxgrad/layers/conv/weight_norm_conv3d.hpp"

#include <utility>

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

// The norm of each output channel, (1, 1, 1, 1, out_channels).
Variable norms(const Variable& direction) { return sqrt(sum(square(direction), {0, 1, 2, 3}, true)); }

}  // namespace

WeightNormConv3d::WeightNormConv3d(WeightNormConv3dOptions options) : ConvLayerWith(std::move(options)) { start(); }

void WeightNormConv3d::add_leaves(DType) {
  const NoGradGuard only_the_numbers;
  weight.add("magnitude", norms(weight["direction"]).value());
}

Variable WeightNormConv3d::kernel() const {
  const Variable& v = weight["direction"];
  return v * (weight["magnitude"] / norms(v));
}

}  // namespace vg
