// The quality of predictions over any number of batches: accuracy, confusion matrix, Dice, IoU, Hausdorff distance.
//
//   vg::Metrics metrics({.classes = 4, .hausdorff = true, .spacing = {1, 1, 2.5}});
//   for (const vg::Batch& batch : loader) metrics.update(model(batch.x), batch.y);  // logits, or labels
//   const vg::MetricValues m = metrics.value();
//   std::printf("Dice %.3f, of class 2 %.3f; HD95 %.1f mm\n", m.dice.mean, m.dice.by_class[2], m.hausdorff.mean);
//   std::printf("accuracy %.3f, class 1 taken for 3: %.0f voxels\n", m.accuracy, m.confusion.value_at(1 * 4 + 3));
//   metrics.reset();                                                                // for the next epoch
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

struct MetricsOptions {
  std::int64_t classes = 0;         ///< in [1, 4096]
  bool include_background = false;  ///< also compute Dice, IoU and Hausdorff distance of class 0
  /// Positions with this label are ignored (for the Hausdorff distance they belong to no class).
  std::optional<std::int32_t> ignore_index{};
  /// Whether Dice and IoU leave out a class that a sample's labels do not have (NaN). If false, such a class scores 1
  /// if the prediction does not have it either, and 0 if it does.
  bool ignore_empty = true;
  bool hausdorff = false;                     ///< the labels must then be (B, H, W, D)
  double percentile = 95;                     ///< of the Hausdorff distance, in [0, 100]
  std::array<double, 3> spacing = {1, 1, 1};  ///< a voxel's size along H, W, D, for the Hausdorff distance
};

/// A score per class and sample. A sample may have no score for a class (NaN).
struct ClassScores {
  std::vector<double> by_class;       ///< the mean over the samples with a score; NaN for none (MONAI's "mean_batch")
  std::vector<std::int64_t> samples;  ///< the number of samples with a score, by class
  double mean = 0;  ///< the mean over samples of each sample's mean over classes (MONAI's "mean"); NaN for none
};

struct MetricValues {
  std::int64_t samples = 0, positions = 0;  ///< the number of positions counted
  double accuracy = 0;                      ///< the fraction of positions with the right class; NaN for none
  Tensor confusion;                         ///< (K, K) f64, whole numbers: row = label, column = prediction
  ClassScores dice, iou;
  /// NaN unless options.hausdorff is set. A sample has no distance for a class that its labels or its prediction lack.
  /// As in MONAI (with a percentile), a class that the prediction misses altogether does not affect this mean, so read
  /// it together with `samples` or Dice.
  ClassScores hausdorff;
};

/// Accumulates over update(). A sample's scores are those of MONAI's DiceMetric, MeanIoU and HausdorffDistanceMetric,
/// and so are the means (MONAI gives 0 if no sample has a score). Memory: K^2 + 8 K numbers for any number of samples.
/// The results do not depend on the number of threads.
class Metrics {
 public:
  /// Throws ValueError for options that are not allowed.
  explicit Metrics(const MetricsOptions& options);

  /// Adds one batch: labels i32 (B, ...), and predictions of the same shape (i32), or logits or probabilities (B, ...,
  /// K), of which the largest is taken, the first of equal ones. Throws ValueError for shapes that do not fit and,
  /// naming the position, for a label or prediction that is not a class; throws TypeError for labels that are not i32.
  /// After an exception nothing is counted.
  void update(const Variable& predictions, const Tensor& labels);
  MetricValues value() const;
  void reset();

 private:
  /// The sums of the scores that are not NaN.
  struct Sums {
    std::vector<double> by_class;
    std::vector<std::int64_t> samples_by_class;
    double means = 0;
    std::int64_t samples = 0;
    void add(const std::vector<double>& scores);
    ClassScores value() const;
  };
  void add_overlaps(const std::int32_t* predicted, const std::int32_t* labels, std::int64_t count);
  void add_hausdorff(Tensor predicted, const Tensor& labels);
  std::int64_t first_class() const { return options_.include_background ? 0 : 1; }

  MetricsOptions options_;
  std::int64_t samples_ = 0;
  std::vector<std::int64_t> confusion_;
  Sums dice_, iou_, hausdorff_;
};

}  // namespace vg
