#include "voxgrad/layers/conv/conv_transpose3d.hpp"

#include <algorithm>

namespace vg {

ConvTranspose3d::ConvTranspose3d(ConvTranspose3dOptions o)
    : ConvLayer3d(o.name, frame_of(o)),
      kernel_(o.kernel_size.checked(where(), "kernel_size")),
      stride_(o.stride.checked(where(), "stride")),
      rhs_dilation_(o.rhs_dilation.checked(where(), "rhs_dilation")),
      padding_(std::move(o.padding)) {
  padding_.check(where());
  start(o.in_size);
}

// Padding as in jax.lax.conv_transpose: with SAME the larger half comes first, and VALID keeps all outputs that the
// kernel touches.
std::array<Pads, 3> ConvTranspose3d::pads() const {
  if (padding_.mode() == Padding::Mode::explicit_pads) return padding_.explicit_pads();
  const Triple kernel = dilated(kernel_, rhs_dilation_);
  std::array<Pads, 3> pads{};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t k = kernel[i], s = stride_[i];
    const bool same = padding_.mode() == Padding::Mode::same;
    const std::int64_t all = k + s - 2 + (same ? 0 : std::max<std::int64_t>(k - s, 0));
    const std::int64_t before = same && s <= k - 1 ? (all + 1) / 2 : k - 1;
    pads[i] = {before, all - before};
  }
  return pads;
}

Shape ConvTranspose3d::kernel_shape(std::int64_t in_channels) const {
  return {kernel_[0], kernel_[1], kernel_[2], out_channels(), in_channels / groups()};
}

Triple ConvTranspose3d::spatial_out(const Triple& in) const {
  return conv3d_out_size(in, kernel_, {.padding = pads(), .lhs_dilation = stride_, .rhs_dilation = rhs_dilation_},
                         where());
}

Variable ConvTranspose3d::convolve(const Variable& x) {
  return conv_transpose3d(
      x, masked(weight["weight"]),
      {.stride = stride_, .padding = pads(), .rhs_dilation = rhs_dilation_, .groups = groups(), .compute = compute()});
}

Attributes ConvTranspose3d::options() const {
  return detail::with({{"in_size", in_size()},
                       {"out_channels", out_channels()},
                       {"kernel_size", detail::list(kernel_)},
                       {"stride", detail::list(stride_)},
                       {"padding", padding_.describe()},
                       {"rhs_dilation", detail::list(rhs_dilation_)}},
                      frame_options());
}

}  // namespace vg
