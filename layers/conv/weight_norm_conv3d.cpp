#include "voxgrad/layers/conv/weight_norm_conv3d.hpp"

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

// The norm of each output channel, (1, 1, 1, 1, out_channels).
Variable norms(const Variable& direction) { return sqrt(sum(square(direction), {0, 1, 2, 3}, true)); }

}  // namespace

WeightNormConv3d::WeightNormConv3d(WeightNormConv3dOptions o) : ConvLayer3d(o.name, frame_of(o)), window_(where(), o) {
  start(o.in_size);
}

Shape WeightNormConv3d::kernel_shape(std::int64_t in_channels) const {
  return window_.kernel_shape(in_channels / groups(), out_channels());
}

void WeightNormConv3d::add_leaves(DType) {
  const NoGradGuard only_the_numbers;
  weight.add("magnitude", norms(weight["direction"]).value());
}

Variable WeightNormConv3d::convolve(const Variable& x) {
  const Variable& v = weight["direction"];
  const Variable kernel = v * (weight["magnitude"] / norms(v));
  return conv3d(x, masked(kernel), window_.args({x.dim(1), x.dim(2), x.dim(3)}, groups(), compute()));
}

Attributes WeightNormConv3d::options() const {
  return detail::with(detail::with({{"in_size", in_size()}, {"out_channels", out_channels()}}, window_.options()),
                      frame_options());
}

}  // namespace vg
