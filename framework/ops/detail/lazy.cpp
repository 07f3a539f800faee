#include "voxgrad/framework/ops/detail/lazy.hpp"

#include "voxgrad/framework/ops/detail/norm_channels.hpp"

namespace vg::detail {

namespace {

// Computes a channel map in the epilogue of the convolution that computes x, if that fuses, or else in a pass over x.
Tensor channel_value(const Lazy& lazy, const kernels::Activation& activation, bool donated) {
  const ChannelOp& n = lazy.map;
  const auto conv = donated ? absorbed(n.x, lazy.op, fusion::Op::conv3d) : nullptr;
  const OpGuard scope(name_of(n.op));
  return dispatch_float(name_of(n.op), lazy.dtype, [&](auto type) {
    using T = decltype(type);
    NormMap<T> numbers(n, activation);
    if (conv) return conv_value(*conv, kernels::Epilogue<T>(numbers.of(0, n.view.rows)));
    Tensor y(lazy.shape, lazy.dtype);
    const T* const x = n.x.value().data<T>();
    if (y.numel() > 0) norm_apply(numbers, x, data_or_null<T>(n.residual), y.data<T>());
    return y;
  });
}

}  // namespace

Lazy::Lazy(ChannelOp channel_map, Vjp (*of_activation)(const Lazy&, const kernels::Activation&))
    : LazyOp(channel_map.x.shape(), channel_map.x.dtype()),
      op(channel_map.op),
      value(channel_value),
      map(std::move(channel_map)),
      vjp(of_activation) {}

}  // namespace vg::detail
