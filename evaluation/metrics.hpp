// How good predictions are, over as many batches as there are: accuracy, confusion matrix, Dice, IoU, Hausdorff
// distance.
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
  bool include_background = false;  ///< class 0 has Dice, IoU and Hausdorff distance, too
  /// Positions with this label count for nothing (for the Hausdorff distance they are of no class).
  std::optional<std::int32_t> ignore_index{};
  /// Dice and IoU of a class that a sample's labels do not have: left out (NaN). Else 1 where the prediction does not
  /// have it either, 0 where it does.
  bool ignore_empty = true;
  bool hausdorff = false;                     ///< labels are then (B, H, W, D)
  double percentile = 95;                     ///< of the Hausdorff distance, in [0, 100]
  std::array<double, 3> spacing = {1, 1, 1};  ///< a voxel's size along H, W, D, for the Hausdorff distance
};

/// A score that each class of each sample has, or has not (NaN).
struct ClassScores {
  std::vector<double> by_class;       ///< the mean over the samples that have it; NaN for none (MONAI's "mean_batch")
  std::vector<std::int64_t> samples;  ///< by class, how many have it
  double mean = 0;  ///< over samples, of the mean over classes that have it (MONAI's "mean"); NaN for none
};

struct MetricValues {
  std::int64_t samples = 0, positions = 0;  ///< positions that counted
  double accuracy = 0;                      ///< the part of positions whose class was predicted; NaN for none
  Tensor confusion;                         ///< (K, K) f64, whole numbers: row = label, column = prediction
  ClassScores dice, iou;
  /// NaN when not asked for. A sample has none for a class that its labels or its prediction lack: as in MONAI (with a
  /// percentile), a class that was missed altogether leaves this mean as it is, so read it with `samples`, or with
  /// Dice.
  ClassScores hausdorff;
};

/// Sums up over update(). A sample's scores are those of MONAI's DiceMetric, MeanIoU and HausdorffDistanceMetric, and
/// so are the means (where no sample has a score MONAI says 0). Memory: K^2 + 8 K numbers, whatever was seen. The same
/// for any number of threads.
class Metrics {
 public:
  /// Throws ValueError for options that are not allowed.
  explicit Metrics(const MetricsOptions& options);

  /// One batch: labels i32 (B, ...), predictions of the same shape (i32), or logits or probabilities (B, ..., K), of
  /// which the largest counts, the first of equal ones. Throws ValueError for shapes that do not fit and, naming the
  /// position, for a label or prediction that is no class; TypeError for labels that are not i32. Then nothing is
  /// counted.
  void update(const Variable& predictions, const Tensor& labels);
  MetricValues value() const;
  void reset();

 private:
  /// Sums of scores that are not NaN.
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
