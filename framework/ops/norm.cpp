#include "framework/ops/norm.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "framework/error.hpp"
#include "framework/ops/detail/norm_channels.hpp"
#include "framework/ops/detail/norm_rows.hpp"
#include "framework/ops/detail/norm_softmax.hpp"
#include "framework/ops/elementwise.hpp"
#include "framework/ops/reduce.hpp"
#include "framework/ops/shape_ops.hpp"

namespace vg {

namespace {

using detail::NormView;
using detail::SoftmaxLayout;

// --- softmax ---

SoftmaxLayout layout_of(const Shape& shape, int axis) {
  SoftmaxLayout l{1, shape.at(axis), 1};
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? l.outer : l.inner) *= i == axis ? 1 : shape.at(i);
  return l;
}

Tensor softmax_grad(std::string_view op, bool logarithm, const Tensor& y, const Tensor& grad, int axis) {
  Tensor dx(y.shape(), y.dtype());
  dispatch_float(op, y.dtype(), [&](auto type) {
    using T = decltype(type);
    if (y.numel() > 0)
      detail::softmax_backward(layout_of(y.shape(), axis), logarithm, y.data<T>(), grad.data<T>(), dx.data<T>());
  });
  return dx;
}

Variable softmax_of(std::string_view op, bool logarithm, const Variable& x, int axis) {
  const int a = normalize_axis(op, axis, x.rank());
  Tensor y(x.shape(), x.dtype());
  dispatch_float(op, x.dtype(), [&](auto type) {
    using T = decltype(type);
    if (y.numel() > 0) detail::softmax_forward(layout_of(x.shape(), a), logarithm, x.value().data<T>(), y.data<T>());
  });
  return record(op, std::move(y), {x}, [op, logarithm, a](const Pull& pull) -> Grads {
    const Variable &out = pull.output, &g = pull.grad;
    if (!recording()) return {softmax_grad(op, logarithm, out.value(), g.value(), a)};
    return {logarithm ? g - exp(out) * sum(g, {a}, true) : out * (g - sum(g * out, {a}, true))};
  });
}

// --- normalisation of channels ---

// One call: what is normalised, and by what. Inputs of the op are x, then scale and bias as far as they are there.
struct Norm {
  std::string_view op;
  NormView view;
  Variable x, scale, bias;
  double eps;
  bool rows;              // layer_norm: scale and bias belong to the places of a row, which is what `width` counts
  bool constant = false;  // statistics given from outside
  Tensor stats;           // f64 (2, batch * groups): means, then 1 / sqrt(var + eps); not kept for rows

  std::vector<Variable> inputs() const {
    std::vector<Variable> all{x};
    for (const Variable& v : {scale, bias})
      if (v.defined()) all.push_back(v);
    return all;
  }
  const double* means() const { return stats.data<double>(); }
  const double* rstds() const { return means() + view.stats(); }
};

template <class T>
const T* data_or_null(const Variable& v) {
  return v.defined() ? v.value().data<T>() : nullptr;
}

void check_param(std::string_view op, std::string_view name, const Variable& param, const Variable& x,
                 std::int64_t count) {
  if (!param.defined()) return;
  if (param.dtype() != x.dtype())
    throw TypeError(
        fmt::format("[{}] {}: got {}; must be {} as x", op, name, name_of(param.dtype()), name_of(x.dtype())));
  if (param.numel() != count)
    throw ValueError(fmt::format("[{}] {}: got shape {}; must have {} entries", op, name, param.shape().str(), count));
}

// Checks what all normalisations share.
void check_norm(const Norm& n) {
  if (!is_float(n.x.dtype())) throw_not_float(n.op, n.x.dtype());
  if (!(n.eps >= 0)) throw ValueError(fmt::format("[{}] eps: got {}; must be at least 0", n.op, n.eps));
  check_param(n.op, "scale", n.scale, n.x, n.view.channels());
  check_param(n.op, "bias", n.bias, n.x, n.view.channels());
}

Tensor forward_value(const Norm& n) {
  Tensor y(n.x.shape(), n.x.dtype());
  dispatch_float(n.op, n.x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *x = n.x.value().data<T>(), *scale = data_or_null<T>(n.scale), *bias = data_or_null<T>(n.bias);
    if (y.numel() == 0) return;
    if (n.rows)
      detail::rows_forward(n.view.batch, n.view.width, n.eps, x, scale, bias, y.data<T>());
    else
      detail::norm_apply(n.view, x, n.means(), n.rstds(), scale, bias, y.data<T>());
  });
  return y;
}

// Gradients of x, scale and bias (undefined where not wanted), by the fused loops.
template <class T>
void fused_channels(const Norm& n, const T* g, Tensor& dx, Tensor& dscale, Tensor& dbias) {
  const NormView& v = n.view;
  const T* x = n.x.value().data<T>();
  const std::int64_t c = v.channels();
  memory::Scratch<double> sums(2 * v.batch * c);
  double *sum_g = sums.data(), *sum_gx = sum_g + v.batch * c;
  if (dscale.defined() || dbias.defined() || !n.constant) detail::norm_dots(v, x, g, n.means(), sum_g, sum_gx);
  if (dx.defined())
    detail::norm_grad_x(v, x, g, n.means(), n.rstds(), data_or_null<T>(n.scale), sum_g, sum_gx, n.constant,
                        dx.data<T>());
  for (std::int64_t i = 0; i < c; ++i) {
    double slope = 0, total = 0;
    for (std::int64_t b = 0; b < v.batch && (dscale.defined() || dbias.defined()); ++b) {
      slope += sum_gx[b * c + i] * n.rstds()[b * v.groups + i / v.width];
      total += sum_g[b * c + i];
    }
    if (dscale.defined()) dscale.data<T>()[i] = static_cast<T>(slope);
    if (dbias.defined()) dbias.data<T>()[i] = static_cast<T>(total);
  }
}

Grads fused_backward(const Norm& n, const Variable& grad, bool want_x, bool want_scale, bool want_bias) {
  const auto like = [](const Variable& v, bool want) { return want ? Tensor::zeros(v.shape(), v.dtype()) : Tensor(); };
  Tensor dx = want_x ? Tensor(n.x.shape(), n.x.dtype()) : Tensor();
  Tensor dscale = like(n.scale, want_scale), dbias = like(n.bias, want_bias);
  dispatch_float(n.op, n.x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *x = n.x.value().data<T>(), *g = grad.value().data<T>();
    const auto out = [](Tensor& t) { return t.defined() ? t.data<T>() : nullptr; };
    if (n.x.numel() == 0) return;
    if (n.rows)
      detail::rows_backward(n.view.batch, n.view.width, n.eps, x, g, data_or_null<T>(n.scale), out(dx), out(dscale),
                            out(dbias));
    else
      fused_channels(n, g, dx, dscale, dbias);
  });
  return {Variable(dx), Variable(dscale), Variable(dbias)};
}

// The same in ops on Variables, so that it can be differentiated again.
Grads composed_backward(const Norm& n, const Variable& grad, bool want_x, bool want_scale, bool want_bias) {
  const NormView& v = n.view;
  const std::vector<std::int64_t> full{v.batch, v.rows, v.groups, v.width}, params{1, 1, v.groups, v.width};
  const Variable x = reshape(n.x, full), g = reshape(grad, full);
  Variable centred, rstd;
  if (n.constant) {
    const Shape per_group{v.batch, 1, v.groups, 1};
    Tensor m(per_group, f64), r(per_group, f64);
    std::copy_n(n.means(), v.stats(), m.data<double>());
    std::copy_n(n.rstds(), v.stats(), r.data<double>());
    centred = x - Variable(m.to(x.dtype()));
    rstd = Variable(r.to(x.dtype()));
  } else {
    centred = x - mean(x, {1, 3}, true);
    rstd = rsqrt(mean(square(centred), {1, 3}, true) + n.eps);
  }
  const Variable hat = centred * rstd;
  Grads grads(3);
  if (want_x) {
    const Variable scaled = n.scale.defined() ? g * reshape(n.scale, params) : g;
    const Variable dx =
        n.constant ? scaled : scaled - mean(scaled, {1, 3}, true) - hat * mean(scaled * hat, {1, 3}, true);
    grads[0] = reshape(dx * rstd, n.x.shape().vec());
  }
  if (want_scale) grads[1] = reshape(sum(g * hat, {0, 1}), n.scale.shape().vec());
  if (want_bias) grads[2] = reshape(sum(g, {0, 1}), n.bias.shape().vec());
  return grads;
}

Variable record_norm(Norm n) {
  Tensor y = forward_value(n);
  const std::string_view op = n.op;
  std::vector<Variable> inputs = n.inputs();
  return record(op, std::move(y), std::move(inputs), [n = std::move(n)](const Pull& pull) -> Grads {
    const std::size_t bias_at = n.scale.defined() ? 2 : 1;
    const bool want_scale = n.scale.defined() && pull.needs(1), want_bias = n.bias.defined() && pull.needs(bias_at);
    const bool fused = !recording() || n.x.numel() == 0;
    Grads all = (fused ? fused_backward : composed_backward)(n, pull.grad, pull.needs(0), want_scale, want_bias);
    Grads grads{all[0]};
    if (n.scale.defined()) grads.push_back(all[1]);
    if (n.bias.defined()) grads.push_back(all[2]);
    return grads;
  });
}

// Fills n.stats from x.
void measure(Norm& n, Tensor* mean, Tensor* var) {
  n.stats = Tensor(Shape{2, n.view.stats()}, f64);
  double *m = n.stats.data<double>(), *v = m + n.view.stats();
  dispatch_float(n.op, n.x.dtype(), [&](auto type) {
    using T = decltype(type);
    detail::group_moments(n.view, n.x.value().data<T>(), m, v);
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
  Norm n{"group_norm",
         {x.dim(0), product(x.shape(), 1, x.rank() - 1), groups, channels / groups},
         x,
         scale,
         bias,
         eps,
         false,
         false,
         {}};
  check_norm(n);
  measure(n, nullptr, nullptr);
  return record_norm(std::move(n));
}

Variable layer_norm(const Variable& x, int axes, const Variable& scale, const Variable& bias, double eps) {
  if (axes < 1 || axes > x.rank())
    throw ValueError(fmt::format("[layer_norm] axes: got {}; must be in [1, {}], the rank of x", axes, x.rank()));
  const int split = x.rank() - axes;
  Norm n{"layer_norm",
         {product(x.shape(), 0, split), 1, 1, product(x.shape(), split, x.rank())},
         x,
         scale,
         bias,
         eps,
         true,
         false,
         {}};
  check_norm(n);
  return record_norm(std::move(n));
}

BatchNormResult batch_norm(const Variable& x, const Variable& scale, const Variable& bias, double eps) {
  check_channels_last("batch_norm", x);
  const std::int64_t channels = x.shape().back();
  Norm n{"batch_norm", {1, product(x.shape(), 0, x.rank() - 1), channels, 1}, x, scale, bias, eps, false, false, {}};
  check_norm(n);
  if (x.numel() == 0)
    throw ValueError(fmt::format("[batch_norm] x: got shape {}; must have at least one element", x.shape().str()));
  BatchNormResult result{{}, Tensor(Shape{channels}, x.dtype()), Tensor(Shape{channels}, x.dtype())};
  measure(n, &result.mean, &result.var);
  result.output = record_norm(std::move(n));
  return result;
}

Variable normalize(const Variable& x, const Tensor& mean, const Tensor& var, const Variable& scale,
                   const Variable& bias, double eps) {
  check_channels_last("normalize", x);
  const std::int64_t channels = x.shape().back();
  Norm n{"normalize", {1, product(x.shape(), 0, x.rank() - 1), channels, 1}, x, scale, bias, eps, false, true, {}};
  check_norm(n);
  check_param(n.op, "mean", Variable(mean), x, channels);
  check_param(n.op, "var", Variable(var), x, channels);
  if (!mean.defined() || !var.defined()) throw ValueError("[normalize] mean, var: undefined; both must be given");
  n.stats = Tensor(Shape{2, channels}, f64);
  for (std::int64_t i = 0; i < channels; ++i) {
    n.stats.data<double>()[i] = mean.value_at(i);
    n.stats.data<double>()[channels + i] = 1 / std::sqrt(var.value_at(i) + eps);
  }
  return record_norm(std::move(n));
}

}  // namespace vg
