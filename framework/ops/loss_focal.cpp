#include <fmt/format.h>

#include <cmath>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/class_labels.hpp"
#include "voxgrad/framework/ops/detail/loss_focal.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/loss.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

void check_gamma(const char* op, double gamma) {
  if (!(gamma >= 0) || std::isinf(gamma))
    throw ValueError(fmt::format("[{}] gamma: got {}; must be finite and at least 0", op, gamma));
}

struct FocalLoss {
  Variable logits;
  Variable labels;  // saved for the gradient, as the logits are
  double gamma;
  std::vector<double> alpha;  // one per class
  std::optional<std::int32_t> ignored;
  double scale = 0;  // 1 / the divisor of the mean; 0 if no position counts

  std::int64_t classes() const { return logits.shape().back(); }
  detail::ClassVolume volume() const { return detail::class_volume(labels.value(), classes(), ignored); }
};

Variable fused_grad(const FocalLoss& l, double g) {
  return detail::filled("focal_loss", l.logits.shape(), l.logits.dtype(), [&]<class T>(T* dz) {
    detail::focal_backward(l.volume(), l.gamma, l.alpha.data(), l.scale * g, l.logits.value().data<T>(), dz);
  });
}

// The same gradient in ops on Variables, (positions, classes).
Variable composed_grad(const FocalLoss& l, const Variable& g) {
  const std::int64_t n = l.labels.numel(), classes = l.classes();
  const auto [counts, target] = detail::class_targets(l.volume(), l.logits.dtype());
  const Variable z = detail::counted_logits(l.volume(), reshape(l.logits, {n, classes})), p = softmax(z);
  const Variable alpha(Tensor::of(Shape{1, classes}, l.alpha).to(l.logits.dtype()));
  const Variable at = sum(p * target, {1}, true), log_at = sum(log_softmax(z) * target, {1}, true);
  Variable row = pow(1.0 - at, l.gamma);
  if (l.gamma > 0) row = row - l.gamma * pow(1.0 - at, l.gamma - 1) * at * log_at;
  const Variable dz = counts * sum(alpha * target, {1}, true) * row * (p - target) * l.scale;
  return reshape(dz * g, l.logits.shape());
}

}  // namespace

Variable focal_loss(const Variable& logits, const Tensor& labels, const FocalOptions& options) {
  detail::check_class_shapes("focal_loss", logits, labels);
  check_gamma("focal_loss", options.gamma);
  detail::check_class_weights("focal_loss", "alpha", options.alpha, logits.shape().back());
  detail::check_labels("focal_loss", "labels", labels, logits.shape().back(), options.ignore_index);
  FocalLoss l{logits, labels, options.gamma, options.alpha, options.ignore_index};
  if (l.alpha.empty()) l.alpha.assign(static_cast<std::size_t>(l.classes()), 1.0);
  const detail::FocalSums sums = dispatch_float("focal_loss", logits.dtype(), [&](auto type) {
    using T = decltype(type);
    return detail::focal_forward(l.volume(), l.gamma, l.alpha.data(), logits.value().data<T>());
  });
  const double scale = 1 / (static_cast<double>(sums.positions) * static_cast<double>(l.classes()));
  Tensor value = Tensor::scalar(sums.loss * scale, logits.dtype());  // 0 * infinity is NaN if no position counts
  l.scale = sums.positions > 0 ? scale : 0;
  return record(
      "focal_loss", std::move(value), {logits, labels},
      [l = std::move(l)](const VjpContext& pull) -> Grads {
        if (recording() && l.logits.numel() > 0) return {composed_grad(l, pull.grad), {}};
        return {fused_grad(l, pull.grad.item()), {}};
      },
      SaveOutput::no);
}

Variable sigmoid_focal_loss(const Variable& x, const Variable& target, double alpha, double gamma) {
  detail::check_loss_pair("sigmoid_focal_loss", x, target);
  check_gamma("sigmoid_focal_loss", gamma);
  if (!(alpha <= 1))
    throw ValueError(fmt::format("[sigmoid_focal_loss] alpha: got {}; must be in [0, 1], or negative for none", alpha));
  // The cross entropy cannot overflow, and `wrong` = 1 - p of the right answer is computed without cancellation.
  const Variable entropy = (1.0 - target) * x + softplus(neg(x));
  const Variable wrong = sigmoid(x) * (1.0 - target) + sigmoid(neg(x)) * target;
  const Variable focal = pow(wrong, gamma) * entropy;
  return alpha < 0 ? mean(focal) : mean(((2 * alpha - 1) * target + (1 - alpha)) * focal);
}

}  // namespace vg
