#include "voxgrad/layers/conv/conv_transpose3d.hpp"

#include <algorithm>
#include <utility>

namespace vg {

ConvTranspose3d::ConvTranspose3d(ConvTranspose3dOptions options) : ConvLayerWith(std::move(options)) { start(); }

// Padding as in jax.lax.conv_transpose: with SAME the larger half comes first, and VALID keeps all outputs that the
// kernel touches.
std::array<Pads, 3> ConvTranspose3d::pads() const {
  const Padding& padding = options_.padding;
  if (padding.mode() == Padding::Mode::explicit_pads) return padding.explicit_pads();
  const Triple kernel = dilated(options_.kernel_size.values(), options_.rhs_dilation.values()),
               stride = options_.stride.values();
  std::array<Pads, 3> pads{};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t k = kernel[i], s = stride[i];
    const bool same = padding.mode() == Padding::Mode::same;
    const std::int64_t all = k + s - 2 + (same ? 0 : std::max<std::int64_t>(k - s, 0));
    const std::int64_t before = same && s <= k - 1 ? (all + 1) / 2 : k - 1;
    pads[i] = {before, all - before};
  }
  return pads;
}

Shape ConvTranspose3d::kernel_shape(std::int64_t in_channels) const {
  const Triple k = options_.kernel_size.values();
  return {k[0], k[1], k[2], options_.out_channels, in_channels / options_.groups};
}

Triple ConvTranspose3d::spatial_out(const Triple& in) const {
  return conv3d_out_size(
      in, options_.kernel_size.values(),
      {.padding = pads(), .lhs_dilation = options_.stride.values(), .rhs_dilation = options_.rhs_dilation.values()},
      where());
}

Variable ConvTranspose3d::convolve(const Variable& x, const Variable& kernel) const {
  return conv_transpose3d(x, kernel,
                          {.stride = options_.stride.values(),
                           .padding = pads(),
                           .rhs_dilation = options_.rhs_dilation.values(),
                           .groups = options_.groups,
                           .compute = options_.compute});
}

}  // namespace vg
