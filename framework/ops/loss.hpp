// Losses, as scalars (means). Class volumes: logits (B, ..., K) with the classes last, labels i32 (B, ...). Wrong ranks
// and labels out of range are ValueErrors that name the position.
#pragma once

#include <optional>
#include <vector>

#include "framework/variable.hpp"

namespace vg {

struct CrossEntropyOptions {
  std::vector<double> weight{};                ///< one a class; empty: all 1. The mean is weighted by it, as in PyTorch
  std::optional<std::int32_t> ignore_index{};  ///< positions with this label count for nothing
  double label_smoothing = 0;                  ///< in [0, 1)
};
/// Mean negative log-likelihood of the labels. PyTorch's cross_entropy(reduction="mean"); NaN when everything is
/// ignored.
Variable cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& options = {});

/// Mean of -(w * t * log s(x) + (1 - t) * log(1 - s(x))), w = pos_weight. Targets have x's shape and dtype.
Variable bce_with_logits(const Variable& x, const Variable& target, double pos_weight = 1);
/// The same with one weight for each entry of the last axis: pos_weight (K), of x's dtype.
Variable bce_with_logits(const Variable& x, const Variable& target, const Tensor& pos_weight);
Variable mse_loss(const Variable& x, const Variable& target);
Variable l1_loss(const Variable& x, const Variable& target);

struct DiceOptions {
  bool include_background = false;  ///< class 0 counts too
  double eps = 1e-5;                ///< added to the denominator
};
/// 1 - mean over classes of 2 * sum(p * t) / (sum(p) + sum(t) + eps), p = softmax(logits), t one-hot, sums over batch
/// and space.
Variable soft_dice_loss(const Variable& logits, const Tensor& labels, const DiceOptions& options = {});
/// cross_entropy + soft_dice_loss, in one pass. Positions that ce ignores count for nothing in dice either.
Variable dice_cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& ce = {},
                            const DiceOptions& dice = {});

/// one_hot(labels)[..., k] is 1 where the label is k, as a constant of that dtype.
Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype = f32);

}  // namespace vg
