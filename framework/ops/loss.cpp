#include "voxgrad/framework/ops/loss.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/class_labels.hpp"
#include "voxgrad/framework/ops/detail/loss_volume.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

using detail::ClassVolume;
using detail::VolumeSlopes;
using detail::VolumeSums;

// One call of cross_entropy, soft_dice_loss or their sum.
struct ClassLoss {
  std::string_view op;
  Variable logits;
  Variable labels;  // saved for the gradient, as the logits are
  bool cross_entropy, dice;
  CrossEntropyOptions ce;
  DiceOptions dice_options;

  std::int64_t classes() const { return logits.shape().back(); }
  std::int64_t first_class() const { return dice_options.include_background ? 0 : 1; }
  double dice_classes() const { return static_cast<double>(classes() - first_class()); }
  std::vector<double> weights() const {
    return ce.weight.empty() ? std::vector<double>(static_cast<std::size_t>(classes()), 1.0) : ce.weight;
  }
  ClassVolume volume() const { return detail::class_volume(labels.value(), classes(), ce.ignore_index); }
};

void check(const ClassLoss& l) {
  detail::check_class_shapes(l.op, l.logits, l.labels.defined() ? l.labels.value() : Tensor());
  if (l.cross_entropy) {
    detail::check_class_weights(l.op, "weight", l.ce.weight, l.classes());
    if (!(l.ce.label_smoothing >= 0 && l.ce.label_smoothing < 1))
      throw ValueError(fmt::format("[{}] label_smoothing: got {}; must be in [0, 1)", l.op, l.ce.label_smoothing));
  }
  if (l.dice) {
    if (l.classes() <= l.first_class())
      throw ValueError(
          fmt::format("[{}] logits: got {} class; must be at least 2, or set include_background", l.op, l.classes()));
    if (!(l.dice_options.eps >= 0))
      throw ValueError(fmt::format("[{}] eps: got {}; must be at least 0", l.op, l.dice_options.eps));
  }
  detail::check_labels(l.op, "labels", l.labels.value(), l.classes(), l.ce.ignore_index);
}

double value_of(const ClassLoss& l, const VolumeSums& sums) {
  double value = 0;
  if (l.cross_entropy) {
    const double eps = l.ce.label_smoothing;
    value +=
        ((1 - eps) * sums.nll + (eps > 0 ? eps / static_cast<double>(l.classes()) * sums.smooth : 0)) / sums.weight;
  }
  if (l.dice) {
    double score = 0;
    for (auto k = static_cast<std::size_t>(l.first_class()); k < sums.overlap.size(); ++k)
      score += 2 * sums.overlap[k] / (sums.predicted[k] + sums.present[k] + l.dice_options.eps);
    value += 1 - score / l.dice_classes();
  }
  return value;
}

// The tables of the backward pass for an incoming gradient g. If no position counts, the loss is NaN and its gradient
// is zero.
VolumeSlopes slopes_of(const ClassLoss& l, const VolumeSums& sums, double g) {
  const auto n = static_cast<std::size_t>(l.classes());
  const std::vector<double> zeros(n);
  VolumeSlopes s{zeros, zeros, zeros, zeros, zeros, l.dice};
  if (l.cross_entropy) {
    const std::vector<double> weight = l.weights();
    const double by = l.volume().any_counts() ? g / sums.weight : 0, eps = l.ce.label_smoothing,
                 share = eps / static_cast<double>(n);
    double all = 0;
    for (double w : weight) all += w;
    for (std::size_t k = 0; k < n; ++k) {
      s.hit[k] = by * (1 - eps) * weight[k];
      s.smooth[k] = by * share * weight[k];
      s.row[k] = s.hit[k] + by * share * all;
    }
  }
  for (auto k = static_cast<std::size_t>(l.first_class()); k < n && l.dice; ++k) {
    const double size = sums.predicted[k] + sums.present[k] + l.dice_options.eps;
    s.dice_hit[k] = -2 * g / (l.dice_classes() * size);
    s.dice[k] = 2 * g * sums.overlap[k] / (l.dice_classes() * size * size);
  }
  return s;
}

Variable fused_grad(const ClassLoss& l, const VolumeSums& sums, double g) {
  return detail::filled(l.op, l.logits.shape(), l.logits.dtype(), [&]<class T>(T* dz) {
    detail::volume_backward(l.volume(), slopes_of(l, sums, g), l.logits.value().data<T>(), dz);
  });
}

// The same gradient in ops on Variables, (positions, classes), so that it can be differentiated again.
Variable composed_grad(const ClassLoss& l, const VolumeSums& sums, const Variable& g) {
  const std::int64_t n = l.labels.numel(), classes = l.classes();
  const DType dtype = l.logits.dtype();
  const auto constant = [&](const Tensor& t) { return Variable(t.to(dtype)); };
  const ClassVolume volume = l.volume();
  const auto [on, t] = detail::class_targets(volume, dtype);
  const Variable p = softmax(detail::counted_logits(volume, reshape(l.logits, {n, classes})));
  Variable dz;
  if (l.cross_entropy) {
    const VolumeSlopes s = slopes_of(l, sums, 1);
    const auto table = [&](const std::vector<double>& values) {
      return constant(Tensor::of(Shape{1, classes}, values));
    };
    const Variable row = sum(t * table(s.row), {1}, true);
    dz = on * (p * row - t * table(s.hit) - table(s.smooth));
  }
  if (l.dice) {
    Tensor chosen = Tensor::full(Shape{1, classes}, -2 / l.dice_classes(), f64), present(Shape{1, classes}, f64);
    for (std::int64_t k = 0; k < classes; ++k) {
      if (k < l.first_class()) chosen.data<double>()[k] = 0;
      present.data<double>()[k] = sums.present[static_cast<std::size_t>(k)] + l.dice_options.eps;
    }
    if (!volume.any_counts()) present = Tensor::ones(present.shape(), f64);  // eps may be 0, and 0 / 0 is NaN
    const Variable size = sum(p * on, {0}, true) + constant(present), overlap = sum(p * t, {0}, true);
    const Variable dp = on * (constant(chosen) * (t / size - overlap / square(size)));
    const Variable from_dice = p * (dp - sum(dp * p, {1}, true));
    dz = dz.defined() ? dz + from_dice : from_dice;
  }
  return reshape(dz * g, l.logits.shape());
}

Variable class_loss(ClassLoss l) {
  check(l);
  VolumeSums sums = dispatch_float(l.op, l.logits.dtype(), [&](auto type) {
    using T = decltype(type);
    return detail::volume_forward(l.volume(), {l.cross_entropy, l.dice, l.ce.label_smoothing > 0}, l.weights().data(),
                                  l.logits.value().data<T>());
  });
  Tensor value = Tensor::scalar(value_of(l, sums), l.logits.dtype());
  const std::string_view op = l.op;
  const Variable logits = l.logits, labels = l.labels;
  return record(
      op, std::move(value), {logits, labels},
      [l = std::move(l), sums = std::move(sums)](const VjpContext& pull) -> Grads {
        if (recording() && l.logits.numel() > 0) return {composed_grad(l, sums, pull.grad), {}};
        return {fused_grad(l, sums, pull.grad.item()), {}};
      },
      SaveOutput::no);
}

}  // namespace

Variable cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  return class_loss({"cross_entropy", logits, labels, true, false, options, {}});
}

Variable soft_dice_loss(const Variable& logits, const Tensor& labels, const DiceOptions& options) {
  return class_loss({"soft_dice_loss", logits, labels, false, true, {}, options});
}

Variable dice_cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& ce,
                            const DiceOptions& dice) {
  return class_loss({"dice_cross_entropy", logits, labels, true, true, ce, dice});
}

namespace {
// Both terms use softplus, which neither overflows nor cancels: -log s(x) = softplus(-x), -log(1 - s(x)) = x +
// softplus(-x).
Variable weighted_bce(const Variable& x, const Variable& target, const Variable& pos_weight) {
  const Variable weight = target * (pos_weight - 1.0) + 1.0;
  return mean((1.0 - target) * x + weight * softplus(neg(x)));
}
}  // namespace

Variable bce_with_logits(const Variable& x, const Variable& target, double pos_weight) {
  detail::check_loss_pair("bce_with_logits", x, target);
  if (!(pos_weight >= 0) || std::isinf(pos_weight))
    throw ValueError(fmt::format("[bce_with_logits] pos_weight: got {}; must be finite and at least 0", pos_weight));
  return weighted_bce(x, target, Tensor::scalar(pos_weight, x.dtype()));
}

Variable bce_with_logits(const Variable& x, const Variable& target, const Tensor& pos_weight) {
  detail::check_loss_pair("bce_with_logits", x, target);
  if (x.rank() == 0 || pos_weight.shape() != Shape{x.shape().back()} || pos_weight.dtype() != x.dtype())
    throw ValueError(
        fmt::format("[bce_with_logits] pos_weight: got {} {}; must be {} with one entry for each of x's last axis {}",
                    name_of(pos_weight.dtype()), pos_weight.shape().str(), name_of(x.dtype()), x.shape().str()));
  for (double w : pos_weight.values())
    if (!(w >= 0) || std::isinf(w))
      throw ValueError(fmt::format("[bce_with_logits] pos_weight: got {}; must be finite and at least 0", w));
  return weighted_bce(x, target, pos_weight);
}

Variable mse_loss(const Variable& x, const Variable& target) {
  detail::check_loss_pair("mse_loss", x, target);
  return mean(square(x - target));
}

Variable l1_loss(const Variable& x, const Variable& target) {
  detail::check_loss_pair("l1_loss", x, target);
  return mean(abs(x - target));
}

Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype) {
  if (classes < 1) throw ValueError(fmt::format("[one_hot] classes: got {}; must be at least 1", classes));
  detail::check_labels("one_hot", "labels", labels, classes, std::nullopt);
  Shape shape = labels.shape();
  shape.push_back(classes);
  Tensor out = Tensor::zeros(shape, dtype);
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    T* to = out.data<T>();
    const std::int32_t* at = labels.data<std::int32_t>();
    parallel_ranges(labels.numel(), 32768, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i * classes + at[i]] = T{1};
    });
  });
  return out;
}

}  // namespace vg
