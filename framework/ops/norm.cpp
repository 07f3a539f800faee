#include "voxgrad/framework/ops/norm.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <string_view>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/detail/norm_channels.hpp"
#include "voxgrad/framework/ops/detail/norm_rows.hpp"
#include "voxgrad/framework/ops/detail/norm_softmax.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

using Norm = detail::ChannelOp;
using detail::data_or_null;
using detail::NormView;
using detail::SoftmaxLayout;
using fusion::Op;

// --- softmax ---

SoftmaxLayout layout_of(const Shape& shape, int axis) {
  SoftmaxLayout l{1, shape.at(axis), 1};
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? l.outer : l.inner) *= i == axis ? 1 : shape.at(i);
  return l;
}

Tensor softmax_grad(std::string_view op, bool logarithm, const Tensor& y, const Tensor& grad, int axis) {
  return detail::filled(op, y.shape(), y.dtype(), [&]<class T>(T* dx) {
    if (y.numel() > 0) detail::softmax_backward(layout_of(y.shape(), axis), logarithm, y.data<T>(), grad.data<T>(), dx);
  });
}

Variable softmax_of(std::string_view op, bool logarithm, const Variable& x, int axis) {
  const int a = normalize_axis(op, axis, x.rank());
  Tensor y = detail::filled(op, x.shape(), x.dtype(), [&]<class T>(T* to) {
    if (x.numel() > 0) detail::softmax_forward(layout_of(x.shape(), a), logarithm, x.value().data<T>(), to);
  });
  return record(op, std::move(y), {x}, [op, logarithm, a](const VjpContext& pull) -> Grads {
    const Variable &out = pull.output, &g = pull.grad;
    if (!recording()) return {softmax_grad(op, logarithm, out.value(), g.value(), a)};
    return {logarithm ? g - exp(out) * sum(g, {a}, true) : out * (g - sum(g * out, {a}, true))};
  });
}

// --- normalisation of channels ---

void check_param(std::string_view op, std::string_view name, const Variable& param, const Variable& x,
                 std::int64_t count) {
  if (!param.defined()) return;
  if (param.dtype() != x.dtype())
    throw TypeError(
        fmt::format("[{}] {}: got {}; must be {} as x", op, name, name_of(param.dtype()), name_of(x.dtype())));
  if (param.numel() != count)
    throw ValueError(fmt::format("[{}] {}: got shape {}; must have {} entries", op, name, param.shape().str(), count));
}

// n, after the checks that all normalisations share.
Norm checked(Norm n) {
  if (!is_float(n.x.dtype())) throw_not_float(name_of(n.op), n.x.dtype());
  if (!(n.eps >= 0)) throw ValueError(fmt::format("[{}] eps: got {}; must be at least 0", name_of(n.op), n.eps));
  check_param(name_of(n.op), "scale", n.scale, n.x, n.view.channels());
  check_param(name_of(n.op), "bias", n.bias, n.x, n.view.channels());
  return n;
}

// layer_norm has one entry of scale and bias per element of a row; `width` is its length.
bool is_of_rows(const Norm& n) { return n.op == Op::layer_norm; }

using Wanted = std::array<bool, Norm::inputs_count>;
using NormGrads = std::array<Variable, Norm::inputs_count>;

// Whether the gradient times the activation's slope is stored as a volume: it is also the residual's gradient.
bool masks_gradient(const Norm& n) { return n.residual.defined() && n.activation.any(); }

// The gradients by the fused loops.
template <class T>
void fused_channels(const Norm& n, const Variable& grad, const Variable& output, const Wanted& wanted,
                    std::array<Tensor, Norm::inputs_count>& out) {
  const NormView& v = n.view;
  const std::int64_t c = v.channels();
  const T *x = n.x.value().data<T>(), *g = grad.value().data<T>();
  memory::Scratch<double> sums(2 * v.batch * c);
  double *sum_g = sums.data(), *sum_gx = sum_g + v.batch * c;
  detail::NormMap<T> map(n, n.activation);
  Tensor masked = masks_gradient(n) ? Tensor(grad.shape(), grad.dtype()) : Tensor();
  const T* y = masked.defined() ? output.value().data<T>() : nullptr;
  detail::norm_dots(map, x, g, y, masked.defined() ? masked.data<T>() : nullptr, sum_g, sum_gx);
  if (masked.defined()) {
    g = masked.data<T>();
    map.activation = {};
  }
  detail::NormGradient<T> gradient(map, sum_g, sum_gx, n.constant);
  if (wanted[Norm::of_x]) gradient.x(x, g, out[Norm::of_x].data<T>());
  for (std::int64_t i = 0; i < c; ++i) {
    double slope = 0, total = 0;
    for (std::int64_t b = 0; b < v.batch; ++b) {
      slope += sum_gx[b * c + i] * map.rstds[b * v.groups + i / v.width];
      total += sum_g[b * c + i];
    }
    if (wanted[Norm::of_scale]) out[Norm::of_scale].data<T>()[i] = static_cast<T>(slope);
    if (wanted[Norm::of_bias]) out[Norm::of_bias].data<T>()[i] = static_cast<T>(total);
    if (wanted[Norm::of_conv_bias])
      out[Norm::of_conv_bias].data<T>()[i] =
          static_cast<T>(gradient.conv_bias(i, sum_g, n.constant ? nullptr : n.channel_means.data<double>()));
  }
  if (wanted[Norm::of_residual]) out[Norm::of_residual] = masked.defined() ? masked : grad.value();
}

NormGrads fused_backward(const Norm& n, const Variable& grad, const Variable& output, const Wanted& wanted) {
  const OpGuard scope(name_of(n.op));
  std::array<Tensor, Norm::inputs_count> out;
  if (wanted[Norm::of_x]) out[Norm::of_x] = Tensor(n.x.shape(), n.x.dtype());
  for (const auto i : {Norm::of_conv_bias, Norm::of_scale, Norm::of_bias})
    if (wanted[i]) out[i] = Tensor::zeros(n.input(i).shape(), n.x.dtype());
  dispatch_float(name_of(n.op), n.x.dtype(), [&](auto type) {
    using T = decltype(type);
    const auto at = [&](Norm::Input i) { return wanted[i] ? out[i].template data<T>() : nullptr; };
    if (n.x.numel() == 0) {
      if (wanted[Norm::of_residual]) out[Norm::of_residual] = grad.value();
    } else if (is_of_rows(n)) {
      detail::rows_backward(n.view.batch, n.view.width, n.eps, n.x.value().data<T>(), grad.value().data<T>(),
                            data_or_null<T>(n.scale), at(Norm::of_x), at(Norm::of_scale), at(Norm::of_bias));
    } else {
      fused_channels<T>(n, grad, output, wanted, out);
    }
  });
  NormGrads grads;
  std::copy(out.begin(), out.end(), grads.begin());
  return grads;
}

// The same in ops on Variables, so that it can be differentiated again; only for an op that absorbed nothing.
NormGrads composed_backward(const Norm& n, const Variable& grad, const Wanted& wanted) {
  const NormView& v = n.view;
  const std::vector<std::int64_t> full{v.batch, v.rows, v.groups, v.width}, params{1, 1, v.groups, v.width};
  const Variable x = reshape(n.x, full), g = reshape(grad, full);
  Variable centred, rstd;
  if (n.constant) {
    const Shape per_group{v.batch, 1, v.groups, 1};
    Tensor m(per_group, f64), r(per_group, f64);
    std::copy_n(n.stats.data<double>(), v.stats(), m.data<double>());
    std::copy_n(n.stats.data<double>() + v.stats(), v.stats(), r.data<double>());
    centred = x - Variable(m.to(x.dtype()));
    rstd = Variable(r.to(x.dtype()));
  } else {
    centred = x - mean(x, {1, 3}, true);
    rstd = rsqrt(mean(square(centred), {1, 3}, true) + n.eps);
  }
  const Variable hat = centred * rstd;
  NormGrads grads;
  if (wanted[Norm::of_x]) {
    const Variable scaled = n.scale.defined() ? g * reshape(n.scale, params) : g;
    const Variable dx =
        (n.constant ? scaled : scaled - mean(scaled, {1, 3}, true) - hat * mean(scaled * hat, {1, 3}, true)) * rstd;
    grads[Norm::of_x] = reshape(dx, n.x.shape());
  }
  if (wanted[Norm::of_scale]) grads[Norm::of_scale] = reshape(sum(g * hat, {0, 1}), n.scale.shape());
  if (wanted[Norm::of_bias]) grads[Norm::of_bias] = reshape(sum(g, {0, 1}), n.bias.shape());
  return grads;
}

Vjp vjp_of(const Norm& n) {
  return [n](const VjpContext& pull) -> Grads {
    Wanted wanted{};
    std::size_t at = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (n.input(i).defined()) wanted[i] = pull.needs(at++);
    const bool fused = !recording() || n.x.numel() == 0;
    NormGrads all = fused ? fused_backward(n, pull.grad, pull.output, wanted) : composed_backward(n, pull.grad, wanted);
    Grads grads;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (n.input(i).defined()) grads.push_back(std::move(all[i]));
    return grads;
  };
}

Vjp norm_activation_vjp(const detail::Lazy& norm, const kernels::Activation& activation) {
  Norm n = norm.map;
  n.activation = activation;
  return vjp_of(n);
}

// Records the normalisation of `x`, which is n.x, or the sum of n.x and an absorbed bias.
Variable record_norm(const Norm& n, const Variable& x) {
  const Variable y =
      record_lazy(name_of(n.op), std::make_shared<detail::Lazy>(n, norm_activation_vjp), n.inputs(), vjp_of(n));
  if (n.conv_bias.defined()) {
    Norm unfused = n;
    unfused.x = x;
    unfused.conv_bias = {};
    record_unfused(y, name_of(n.op), unfused.inputs(), vjp_of(unfused));
  }
  return y;
}

// If x of a normalisation of channels is a lazy sum of a volume and a bias, absorbs the bias.
void absorb_bias(Norm& n) {
  if (const auto sum = detail::absorbed(n.x, n.op, Op::bias_add)) {
    n.x = sum->map.x;
    n.conv_bias = sum->map.conv_bias;
  }
}

// Computes n.stats from x.
void compute_statistics(Norm& n, Tensor* mean, Tensor* var) {
  const OpGuard scope(name_of(n.op));
  absorb_bias(n);
  n.stats = Tensor(Shape{2, n.view.stats()}, f64);
  n.channel_means = Tensor(Shape{n.view.batch, n.view.channels()}, f64);
  double *m = n.stats.data<double>(), *v = m + n.view.stats();
  dispatch_float(name_of(n.op), n.x.dtype(), [&](auto type) {
    using T = decltype(type);
    const auto conv = detail::absorbed(n.x, n.op, Op::conv3d);
    detail::group_moments(n.view,
                          conv ? detail::conv_moments(n.x, *conv) : detail::moments_of(n.view, n.x.value().data<T>()),
                          data_or_null<T>(n.conv_bias), m, v, n.channel_means.data<double>());
    for (std::int64_t i = 0; i < n.view.stats(); ++i) {
      if (mean) mean->data<T>()[i] = static_cast<T>(m[i]);
      if (var) var->data<T>()[i] = static_cast<T>(v[i]);
      v[i] = 1 / std::sqrt(v[i] + n.eps);
    }
  });
}

void check_channels_last(std::string_view op, const Variable& x) {
  if (x.rank() < 2)
    throw ValueError(
        fmt::format("[{}] x: got shape {}; must be of rank 2 or more, (batch, ..., channels)", op, x.shape().str()));
}

std::int64_t product(const Shape& s, int begin, int end) {
  std::int64_t p = 1;
  for (int i = begin; i < end; ++i) p *= s.at(i);
  return p;
}

}  // namespace

Variable softmax(const Variable& x, int axis) { return softmax_of("softmax", false, x, axis); }
Variable log_softmax(const Variable& x, int axis) { return softmax_of("log_softmax", true, x, axis); }

Variable group_norm(const Variable& x, std::int64_t groups, const Variable& scale, const Variable& bias, double eps) {
  check_channels_last("group_norm", x);
  const std::int64_t channels = x.shape().back();
  if (groups < 1 || channels % groups != 0)
    throw ValueError(
        fmt::format("[group_norm] groups: got {}; must be at least 1 and divide the {} channels", groups, channels));
  const NormView view{x.dim(0), product(x.shape(), 1, x.rank() - 1), groups, channels / groups};
  Norm n = checked({Op::group_norm, view, x, {}, scale, bias, eps});
  compute_statistics(n, nullptr, nullptr);
  return record_norm(n, x);
}

Variable layer_norm(const Variable& x, int axes, const Variable& scale, const Variable& bias, double eps) {
  if (axes < 1 || axes > x.rank())
    throw ValueError(fmt::format("[layer_norm] axes: got {}; must be in [1, {}], the rank of x", axes, x.rank()));
  const int split = x.rank() - axes;
  const NormView view{product(x.shape(), 0, split), 1, 1, product(x.shape(), split, x.rank())};
  const Norm n = checked({Op::layer_norm, view, x, {}, scale, bias, eps});
  Tensor y = detail::filled("layer_norm", x.shape(), x.dtype(), [&]<class T>(T* to) {
    const T* const from = x.value().data<T>();
    if (x.numel() > 0)
      detail::rows_forward(view.batch, view.width, eps, from, data_or_null<T>(scale), data_or_null<T>(bias), to);
  });
  return record("layer_norm", std::move(y), n.inputs(), vjp_of(n), SaveOutput::no);
}

BatchNormResult batch_norm(const Variable& x, const Variable& scale, const Variable& bias, double eps) {
  check_channels_last("batch_norm", x);
  const std::int64_t channels = x.shape().back();
  const NormView view{1, product(x.shape(), 0, x.rank() - 1), channels, 1};
  Norm n = checked({Op::batch_norm, view, x, {}, scale, bias, eps});
  if (x.numel() == 0)
    throw ValueError(fmt::format("[batch_norm] x: got shape {}; must have at least one element", x.shape().str()));
  BatchNormResult result{{}, Tensor(Shape{channels}, x.dtype()), Tensor(Shape{channels}, x.dtype())};
  compute_statistics(n, &result.mean, &result.var);
  result.output = record_norm(n, x);
  return result;
}

Variable normalize(const Variable& x, const Tensor& mean, const Tensor& var, const Variable& scale,
                   const Variable& bias, double eps) {
  check_channels_last("normalize", x);
  const std::int64_t channels = x.shape().back();
  const NormView view{1, product(x.shape(), 0, x.rank() - 1), channels, 1};
  Norm n = checked({Op::normalize, view, x, {}, scale, bias, eps, true});
  check_param(name_of(n.op), "mean", Variable(mean), x, channels);
  check_param(name_of(n.op), "var", Variable(var), x, channels);
  if (!mean.defined() || !var.defined()) throw ValueError("[normalize] mean, var: undefined; both must be given");
  absorb_bias(n);
  n.stats = Tensor(Shape{2, channels}, f64);
  for (std::int64_t i = 0; i < channels; ++i) {
    n.stats.data<double>()[i] = mean.value_at(i);
    n.stats.data<double>()[channels + i] = 1 / std::sqrt(var.value_at(i) + eps);
  }
  return record_norm(n, x);
}

}  // namespace vg
