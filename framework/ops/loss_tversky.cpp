#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/class_labels.hpp"
#include "voxgrad/framework/ops/detail/loss_volume.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/loss.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

using detail::ClassVolume;
using detail::VolumeSlopes;
using detail::VolumeSums;

// The sums over one set of positions (all positions, or those of one sample) are those of soft Dice, computed by the
// same pass. The score of a class is (overlap + smooth_nr) / size.
struct TverskyLoss {
  Variable logits;
  Variable labels;  // saved for the gradient, as the logits are
  TverskyOptions options;

  std::int64_t classes() const { return logits.shape().back(); }
  std::int64_t first_class() const { return options.include_background ? 0 : 1; }
  std::int64_t sets() const { return options.batch ? 1 : labels.dim(0); }
  std::int64_t positions() const { return sets() == 0 ? 0 : labels.numel() / sets(); }  // per set
  double scores() const { return static_cast<double>(sets() * (classes() - first_class())); }
  // The factor of overlap in size, in addition to its shares in predicted and present.
  double overlap_factor() const { return 1 - options.alpha - options.beta; }
  double size(const VolumeSums& s, std::size_t k) const {
    return overlap_factor() * s.overlap[k] + options.alpha * s.predicted[k] + options.beta * s.present[k] +
           options.smooth_dr;
  }
  ClassVolume volume(std::int64_t set) const {
    ClassVolume v = detail::class_volume(labels.value(), classes(), options.ignore_index);
    v.positions = positions();
    v.labels += set * positions();
    return v;
  }
};

void check(const TverskyLoss& l) {
  detail::check_class_shapes("tversky_loss", l.logits, l.labels.defined() ? l.labels.value() : Tensor());
  if (l.classes() <= l.first_class())
    throw ValueError(
        fmt::format("[tversky_loss] logits: got {} class; must be at least 2, or set include_background", l.classes()));
  const TverskyOptions& o = l.options;
  for (const auto& [name, value] : {std::pair("alpha", o.alpha), std::pair("beta", o.beta),
                                    std::pair("smooth_nr", o.smooth_nr), std::pair("smooth_dr", o.smooth_dr)})
    if (!(value >= 0) || std::isinf(value))
      throw ValueError(fmt::format("[tversky_loss] {}: got {}; must be finite and at least 0", name, value));
  detail::check_labels("tversky_loss", "labels", l.labels.value(), l.classes(), o.ignore_index);
}

double value_of(const TverskyLoss& l, const std::vector<VolumeSums>& sums) {
  double score = 0;
  for (const VolumeSums& s : sums)
    for (auto k = static_cast<std::size_t>(l.first_class()); k < s.overlap.size(); ++k)
      score += (s.overlap[k] + l.options.smooth_nr) / l.size(s, k);
  return 1 - score / l.scores();
}

VolumeSlopes slopes_of(const TverskyLoss& l, const VolumeSums& sums, double g) {
  const std::vector<double> zeros(sums.overlap.size());
  VolumeSlopes s{zeros, zeros, zeros, zeros, zeros, true};
  for (auto k = static_cast<std::size_t>(l.first_class()); k < zeros.size(); ++k) {
    const double size = l.size(sums, k), by = g / (l.scores() * size);
    const double score = (sums.overlap[k] + l.options.smooth_nr) / size;
    s.dice[k] = by * score * l.options.alpha;
    s.dice_hit[k] = by * (score * l.overlap_factor() - 1);
  }
  return s;
}

Variable fused_grad(const TverskyLoss& l, const std::vector<VolumeSums>& sums, double g) {
  return detail::filled("tversky_loss", l.logits.shape(), l.logits.dtype(), [&]<class T>(T* dz) {
    for (std::int64_t set = 0; set < l.sets(); ++set) {
      const std::int64_t offset = set * l.positions() * l.classes();
      detail::volume_backward(l.volume(set), slopes_of(l, sums[static_cast<std::size_t>(set)], g),
                              l.logits.value().data<T>() + offset, dz + offset);
    }
  });
}

// The same gradient in ops on Variables, (sets, positions, classes).
Variable composed_grad(const TverskyLoss& l, const Variable& g) {
  const DType dtype = l.logits.dtype();
  const std::vector<std::int64_t> shape{l.sets(), l.positions(), l.classes()};
  const ClassVolume volume = detail::class_volume(l.labels.value(), l.classes(), l.options.ignore_index);
  const auto masks = detail::class_targets(volume, dtype);
  const Variable counts = reshape(masks.counts, {l.sets(), l.positions(), 1}), target = reshape(masks.target, shape);
  const Variable logits = detail::counted_logits(volume, reshape(l.logits, {l.labels.numel(), l.classes()}));
  const Variable p = softmax(reshape(logits, shape));
  const Variable overlap = sum(p * target, {1}, true), predicted = sum(p * counts, {1}, true),
                 present = sum(target, {1}, true);
  // A set in which no position counts has no gradient; its size only must not be 0.
  Tensor extra = Tensor::zeros(Shape{l.sets(), 1, 1}, f64);
  for (std::int64_t set = 0; set < l.sets(); ++set)
    if (!l.volume(set).any_counts()) extra.data<double>()[set] = 1;
  const Variable size = overlap * l.overlap_factor() + predicted * l.options.alpha + present * l.options.beta +
                        l.options.smooth_dr + Variable(extra.to(dtype));
  Tensor chosen = Tensor::full(Shape{1, 1, l.classes()}, -1 / l.scores(), f64);
  if (l.first_class() == 1) chosen.data<double>()[0] = 0;
  const Variable by = Variable(chosen.to(dtype)) / size, score = (overlap + l.options.smooth_nr) / size;
  const Variable dp = counts * by * (target - score * (target * l.overlap_factor() + l.options.alpha));
  return reshape(p * (dp - sum(dp * p, {2}, true)) * g, l.logits.shape());
}

}  // namespace

Variable tversky_loss(const Variable& logits, const Tensor& labels, const TverskyOptions& options) {
  TverskyLoss l{logits, labels, options};
  check(l);
  std::vector<VolumeSums> sums;
  dispatch_float("tversky_loss", logits.dtype(), [&](auto type) {
    using T = decltype(type);
    for (std::int64_t set = 0; set < l.sets(); ++set)
      sums.push_back(detail::volume_forward(l.volume(set), {false, true, false}, nullptr,
                                            logits.value().data<T>() + set * l.positions() * l.classes()));
  });
  Tensor value = Tensor::scalar(value_of(l, sums), logits.dtype());
  return record(
      "tversky_loss", std::move(value), {logits, labels},
      [l = std::move(l), sums = std::move(sums)](const VjpContext& pull) -> Grads {
        if (recording() && l.logits.numel() > 0) return {composed_grad(l, pull.grad), {}};
        return {fused_grad(l, sums, pull.grad.item()), {}};
      },
      SaveOutput::no);
}

}  // namespace vg
