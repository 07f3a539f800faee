#include "voxgrad/evaluation/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "voxgrad/evaluation/distance.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/detail/class_labels.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The counts of each class in one sample.
struct Tally {
  explicit Tally(std::int64_t classes)
      : overlap(static_cast<std::size_t>(classes)), predicted(overlap.size()), present(overlap.size()) {}
  std::vector<std::int64_t> overlap, predicted, present;

  void add(const Tally& other) {
    for (std::size_t k = 0; k < overlap.size(); ++k) {
      overlap[k] += other.overlap[k];
      predicted[k] += other.predicted[k];
      present[k] += other.present[k];
    }
  }
};

/// A range of positions.
struct Positions {
  const std::int32_t *predicted, *labels;
  std::int64_t count, classes;
  std::optional<std::int32_t> ignored;

  /// Counts the classes, and also adds the positions to the (K, K) matrix `confusion`.
  Tally tally(std::int64_t* confusion) const {
    Tally t(classes);
    for (std::int64_t i = 0; i < count; ++i) {
      if (ignored && labels[i] == *ignored) continue;
      const auto label = static_cast<std::size_t>(labels[i]), guess = static_cast<std::size_t>(predicted[i]);
      ++confusion[labels[i] * classes + predicted[i]];
      ++t.present[label];
      ++t.predicted[guess];
      t.overlap[label] += label == guess;
    }
    return t;
  }
};

/// Uses several threads if there are enough positions. Sums of whole numbers do not depend on the order.
Tally tally_sample(const Positions& all, std::vector<std::int64_t>& confusion) {
  const std::int64_t cells = all.classes * all.classes, most = std::clamp<std::int64_t>((1 << 22) / cells, 1, 32);
  const std::int64_t grain = std::max<std::int64_t>(65536, (all.count + most - 1) / most);
  const std::int64_t tasks = (all.count + grain - 1) / grain;
  if (tasks <= 1) return all.tally(confusion.data());
  std::vector<std::vector<std::int64_t>> parts(static_cast<std::size_t>(tasks));
  std::vector<Tally> tallies(parts.size(), Tally(all.classes));
  parallel_for(tasks, [&](std::int64_t t) {
    const std::int64_t begin = t * grain;
    const Positions some{all.predicted + begin, all.labels + begin, std::min(grain, all.count - begin), all.classes,
                         all.ignored};
    std::vector<std::int64_t> part(confusion.size());
    tallies[static_cast<std::size_t>(t)] = some.tally(part.data());
    parts[static_cast<std::size_t>(t)] = std::move(part);
  });
  Tally total(all.classes);
  for (const Tally& t : tallies) total.add(t);
  for (const auto& part : parts)
    for (std::size_t i = 0; i < part.size(); ++i) confusion[i] += part[i];
  return total;
}

/// The labels that an update takes as predicted.
Tensor predicted_labels(const Variable& predictions, const Tensor& labels, std::int64_t classes) {
  if (!predictions.defined() || !labels.defined())
    throw ValueError("[metrics] predictions and labels: got an undefined tensor");
  if (labels.dtype() != i32)
    throw TypeError(fmt::format("[metrics] labels: got {}; must be i32", name_of(labels.dtype())));
  if (labels.rank() < 1) throw ValueError("[metrics] labels: got a scalar; must be (batch, ...)");
  Shape with_classes = labels.shape();
  if (predictions.dtype() != i32 && labels.rank() < Shape::max_rank) {
    with_classes.push_back(classes);
    if (predictions.shape() == with_classes) return argmax(predictions.value(), -1);
  }
  if (predictions.dtype() != i32 || predictions.shape() != labels.shape())
    throw ValueError(fmt::format(
        "[metrics] predictions: got {} {} for labels {}; must be i32 of the labels' shape, or floating with {} classes "
        "behind it",
        name_of(predictions.dtype()), predictions.shape().str(), labels.shape().str(), classes));
  return predictions.value();
}

}  // namespace

Metrics::Metrics(const MetricsOptions& options) : options_(options) {
  if (options.classes < 1 || options.classes > 4096)
    throw ValueError(fmt::format("[metrics] classes: got {}; must be in [1, 4096]", options.classes));
  if (options.classes <= first_class())
    throw ValueError("[metrics] classes: got 1; must be at least 2, or set include_background");
  detail::check_hausdorff("metrics", {.percentile = options.percentile, .spacing = options.spacing});
  reset();
}

void Metrics::reset() {
  const auto n = static_cast<std::size_t>(options_.classes);
  samples_ = 0;
  confusion_.assign(n * n, 0);
  const Sums none{std::vector<double>(n), std::vector<std::int64_t>(n), 0, 0};
  dice_ = iou_ = hausdorff_ = none;
}

void Metrics::update(const Variable& predictions, const Tensor& labels) {
  Tensor predicted = predicted_labels(predictions, labels, options_.classes);
  if (options_.hausdorff && labels.rank() != 4)
    throw ValueError(
        fmt::format("[metrics] labels: got shape {}; must be (batch, height, width, depth) for the "
                    "Hausdorff distance",
                    labels.shape().str()));
  detail::check_labels("metrics", "labels", labels, options_.classes, options_.ignore_index);
  detail::check_labels("metrics", "predictions", predicted, options_.classes, std::nullopt);
  const std::int64_t samples = labels.dim(0), n = samples == 0 ? 0 : labels.numel() / samples;
  for (std::int64_t b = 0; b < samples; ++b)
    add_overlaps(predicted.data<std::int32_t>() + b * n, labels.data<std::int32_t>() + b * n, n);
  if (options_.hausdorff) add_hausdorff(predicted, labels);
  samples_ += samples;
}

void Metrics::add_overlaps(const std::int32_t* predicted, const std::int32_t* labels, std::int64_t count) {
  const Tally t = tally_sample({predicted, labels, count, options_.classes, options_.ignore_index}, confusion_);
  std::vector<double> dice(t.overlap.size(), nan), iou(dice);
  for (auto k = static_cast<std::size_t>(first_class()); k < dice.size(); ++k) {
    if (t.present[k] == 0) {
      if (!options_.ignore_empty) dice[k] = iou[k] = t.predicted[k] == 0;
      continue;
    }
    const auto both = static_cast<double>(t.overlap[k]), sizes = static_cast<double>(t.predicted[k] + t.present[k]);
    dice[k] = 2 * both / sizes;
    iou[k] = both / (sizes - both);
  }
  dice_.add(dice);
  iou_.add(iou);
}

void Metrics::add_hausdorff(Tensor predicted, const Tensor& labels) {
  if (options_.ignore_index) {  // these positions get no class on either side
    predicted = predicted.clone();
    auto* p = predicted.data<std::int32_t>();
    const auto* l = labels.data<std::int32_t>();
    for (std::int64_t i = 0; i < labels.numel(); ++i)
      if (l[i] == *options_.ignore_index) p[i] = l[i];
  }
  const HausdorffOptions how{.percentile = options_.percentile, .spacing = options_.spacing};
  const Triple extent{labels.dim(1), labels.dim(2), labels.dim(3)};
  const std::int64_t voxels = extent[0] * extent[1] * extent[2];
  for (std::int64_t b = 0; b < labels.dim(0); ++b) {
    std::vector<double> scores(static_cast<std::size_t>(options_.classes), nan);
    for (std::int64_t k = first_class(); k < options_.classes; ++k) {
      const auto label = static_cast<std::int32_t>(k);
      if (label == options_.ignore_index) continue;
      const double distance = detail::hausdorff(predicted.data<std::int32_t>() + b * voxels,
                                                labels.data<std::int32_t>() + b * voxels, extent, label, how);
      if (std::isfinite(distance)) scores[static_cast<std::size_t>(k)] = distance;
    }
    hausdorff_.add(scores);
  }
}

void Metrics::Sums::add(const std::vector<double>& scores) {
  double sum = 0;
  std::int64_t counted = 0;
  for (std::size_t k = 0; k < scores.size(); ++k) {
    if (std::isnan(scores[k])) continue;
    by_class[k] += scores[k];
    ++samples_by_class[k];
    sum += scores[k];
    ++counted;
  }
  if (counted == 0) return;
  means += sum / static_cast<double>(counted);
  ++samples;
}

ClassScores Metrics::Sums::value() const {
  ClassScores scores{.by_class = {}, .samples = samples_by_class};
  for (std::size_t k = 0; k < by_class.size(); ++k)
    scores.by_class.push_back(samples_by_class[k] == 0 ? nan : by_class[k] / static_cast<double>(samples_by_class[k]));
  scores.mean = samples == 0 ? nan : means / static_cast<double>(samples);
  return scores;
}

MetricValues Metrics::value() const {
  const std::int64_t n = options_.classes;
  MetricValues values;
  values.samples = samples_;
  values.confusion = Tensor({n, n}, f64);
  std::int64_t right = 0;
  for (std::int64_t i = 0; i < n * n; ++i) {
    const std::int64_t count = confusion_[static_cast<std::size_t>(i)];
    values.confusion.data<double>()[i] = static_cast<double>(count);
    values.positions += count;
    if (i % n == i / n) right += count;
  }
  values.accuracy = values.positions == 0 ? nan : static_cast<double>(right) / static_cast<double>(values.positions);
  values.dice = dice_.value();
  values.iou = iou_.value();
  values.hausdorff = hausdorff_.value();
  return values;
}

}  // namespace vg
