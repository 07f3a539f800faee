#include "voxgrad/framework/ops/pool3d.hpp"

#include <fmt/format.h>

#include <string_view>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/bias.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/detail/pool3d_kernels.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

using detail::Pool3dGeometry;

void check_volume(std::string_view where, const Variable& x) {
  if (x.rank() != 5)
    throw ValueError(fmt::format("[{}] x: got shape {}; must be of rank 5, (batch, height, width, depth, channels)",
                                 where, x.shape().str()));
  if (!is_float(x.dtype())) throw_not_float(where, x.dtype());
}

void check_positive(std::string_view where, std::string_view name, const Triple& t) {
  for (auto v : t)
    if (v < 1 || v > INT32_MAX)
      throw ValueError(
          fmt::format("[{}] {}: got {}; every entry must be in [1, 2147483647]", where, name, detail::str(t)));
}

// Limits the extents (memory does not, if the batch is empty), so that sums of positions and strides fit in 64 bits.
void check_extents(std::string_view where, const Pool3dGeometry& g) {
  for (const std::int64_t extent : g.in)
    if (extent < 1 || extent > INT32_MAX)
      throw ValueError(fmt::format("[{}] x: got spatial size {}; every extent must be at least 1 (and below 2^31)",
                                   where, detail::str(g.in)));
}

Pool3dGeometry geometry_of(std::string_view where, const Variable& x, const Pool3dArgs& args) {
  check_volume(where, x);
  check_positive(where, "kernel_size", args.kernel_size);
  check_positive(where, "stride", args.stride);
  Pool3dGeometry g{x.dim(0), x.dim(4), {x.dim(1), x.dim(2), x.dim(3)}, {}, args.kernel_size, args.stride, {}};
  check_extents(where, g);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto [lo, hi] = args.padding[i];
    if (lo < 0 || hi < 0 || lo >= g.kernel[i] || hi >= g.kernel[i])
      throw ValueError(fmt::format(
          "[{}] padding: got ({}, {}) for a kernel of {}; every entry must be at least 0 and below the kernel size",
          where, lo, hi, g.kernel[i]));
    const std::int64_t span = g.in[i] + lo + hi - g.kernel[i];
    g.before[i] = lo;
    g.out[i] = span < 0 ? 0 : span / g.stride[i] + 1;
  }
  return g;
}

Shape in_shape(const Pool3dGeometry& g) { return {g.batch, g.in[0], g.in[1], g.in[2], g.channels}; }
Shape out_shape(const Pool3dGeometry& g) { return {g.batch, g.out[0], g.out[1], g.out[2], g.channels}; }

// Picking values by saved indices, and putting them back. Both are linear, and each is the other's vjp.
Variable put(const Variable& grad, const Tensor& index, const Pool3dGeometry& g);

Variable pick(const Variable& x, const Tensor& index, const Pool3dGeometry& g) {
  Tensor y = detail::filled("max_pool3d", out_shape(g), x.dtype(), [&]<class T>(T* to) {
    detail::pool_pick(g, x.value().data<T>(), index.data<std::int32_t>(), to);
  });
  return record(
      "pool_pick", std::move(y), {x},
      [index, g](const VjpContext& pull) -> Grads { return {put(pull.grad, index, g)}; }, SaveOutput::no);
}

Variable put(const Variable& grad, const Tensor& index, const Pool3dGeometry& g) {
  Tensor dx = detail::filled("max_pool3d", in_shape(g), grad.dtype(), [&]<class T>(T* to) {
    detail::pool_put(g, grad.value().data<T>(), index.data<std::int32_t>(), to);
  });
  return record(
      "pool_put", std::move(dx), {grad},
      [index, g](const VjpContext& pull) -> Grads { return {pick(pull.grad, index, g)}; }, SaveOutput::no);
}

// Means over windows, and their adjoint. Both are linear, and each is the other's vjp.
Variable spread(std::string_view op, const Variable& grad, const Pool3dGeometry& g);

Variable gathered(std::string_view op, const Variable& x, const Pool3dGeometry& g) {
  Tensor y = detail::filled(op, out_shape(g), x.dtype(),
                            [&]<class T>(T* to) { detail::window_mean(g, x.value().data<T>(), to); });
  return record(
      op, std::move(y), {x}, [op, g](const VjpContext& pull) -> Grads { return {spread(op, pull.grad, g)}; },
      SaveOutput::no);
}

Variable spread(std::string_view op, const Variable& grad, const Pool3dGeometry& g) {
  Tensor dx = detail::filled(op, in_shape(g), grad.dtype(),
                             [&]<class T>(T* to) { detail::window_spread(g, grad.value().data<T>(), to); });
  return record(
      op, std::move(dx), {grad}, [op, g](const VjpContext& pull) -> Grads { return {gathered(op, pull.grad, g)}; },
      SaveOutput::no);
}

Variable max_of_windows(std::string_view op, const Variable& x, const Pool3dGeometry& g) {
  if (!g.empty() && g.in_voxels() > INT32_MAX)
    throw ValueError(
        fmt::format("[{}] x: got spatial size {}; a sample may have at most 2147483647 voxels", op, detail::str(g.in)));
  const OpGuard scope(op);
  Tensor y(out_shape(g), x.dtype());
  const bool keep = will_record({x});
  Tensor index = keep ? Tensor(out_shape(g), i32) : Tensor();
  dispatch_float(op, x.dtype(), [&](auto type) {
    using T = decltype(type);
    detail::max_pool(g, x.value().data<T>(), y.data<T>(), keep ? index.data<std::int32_t>() : nullptr);
  });
  return record(
      op, std::move(y), {x}, [index, g](const VjpContext& pull) -> Grads { return {put(pull.grad, index, g)}; },
      SaveOutput::no);
}

}  // namespace

Variable max_pool3d(Variable x, const Pool3dArgs& args) {
  const Pool3dGeometry g = geometry_of("max_pool3d", x, args);
  // Rounding keeps order, so the largest sum is the sum of the largest value. The bias is then added to the pooled
  // volume, at stride 2 an eighth of x, and the bias's gradient sums up as little.
  if (const auto sum = detail::absorbed(x, fusion::Op::max_pool3d))
    return bias_add(max_of_windows("max_pool3d", sum->map.x, g), sum->map.conv_bias);
  return max_of_windows("max_pool3d", x, g);
}

Variable adaptive_max_pool3d(const Variable& x, const Triple& size) {
  check_volume("adaptive_max_pool3d", x);
  check_positive("adaptive_max_pool3d", "size", size);
  Pool3dGeometry g{x.dim(0), x.dim(4), {x.dim(1), x.dim(2), x.dim(3)}, size, {}, {1, 1, 1}, {0, 0, 0}, true};
  check_extents("adaptive_max_pool3d", g);
  for (std::size_t i = 0; i < 3; ++i) g.kernel[i] = g.in[i] / g.out[i] + 2;  // at least the largest window
  return max_of_windows("adaptive_max_pool3d", x, g);
}

Variable avg_pool3d(const Variable& x, const Pool3dArgs& args) {
  return gathered("avg_pool3d", x, geometry_of("avg_pool3d", x, args));
}

Variable global_avg_pool3d(const Variable& x) {
  check_volume("global_avg_pool3d", x);
  return mean(x, {1, 2, 3});
}

}  // namespace vg
