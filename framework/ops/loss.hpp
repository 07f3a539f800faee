// Losses, as scalars (means). Class volumes: logits (B, ..., K) with the classes last, labels i32 (B, ...). Wrong ranks
// and labels out of range are ValueErrors that name the position.
//
//   vg::Variable logits = model(batch.x);                                                     // (B, H, W, D, K)
//   vg::Variable loss = vg::dice_cross_entropy(logits, batch.y, {.ignore_index = 255});       // the usual choice
//   loss = vg::focal_loss(logits, batch.y, {.gamma = 2, .alpha = {0.25, 1, 1, 1}});            // rare classes, hard
//   voxels loss = vg::tversky_loss(logits, batch.y, {.alpha = 0.3, .beta = 0.7});                     // misses cost
//   more loss = loss + vg::cross_entropy(logits, batch.y, {.label_smoothing = 0.1}) * 0.5;          // they add up
//   loss.backward();
#pragma once

#include <optional>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

struct CrossEntropyOptions {
  std::vector<double> weight{};                ///< one a class; empty: all 1. The mean is weighted by it, as in PyTorch
  std::optional<std::int32_t> ignore_index{};  ///< positions with this label count for nothing
  double label_smoothing = 0;                  ///< in [0, 1)
};
/// Mean negative log-likelihood of the labels. PyTorch's cross_entropy(reduction="mean"); NaN when everything is
/// ignored, with gradient 0.
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
/// and space. A class that no label has overlaps with nothing, so its share of the loss is 1, however little of it is
/// predicted: eps is not in the numerator, as tversky_loss's smooth_nr is.
Variable soft_dice_loss(const Variable& logits, const Tensor& labels, const DiceOptions& options = {});
/// cross_entropy + soft_dice_loss, in one pass. Positions that ce ignores count for nothing in dice either.
Variable dice_cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& ce = {},
                            const DiceOptions& dice = {});

struct FocalOptions {
  double gamma = 2;                            ///< at least 0; 0: cross entropy
  std::vector<double> alpha{};                 ///< a weight for each class; empty: all 1
  std::optional<std::int32_t> ignore_index{};  ///< positions with this label count for nothing
};
/// -alpha[label] * (1 - p)^gamma * log p, p = softmax(logits)[label], averaged over positions and classes (so gamma = 0
/// gives cross_entropy over the number of classes): MONAI's FocalLoss(use_softmax=True, to_onehot_y=True,
/// weight=alpha). T.-Y. Lin et al., Focal loss for dense object detection, 2017. NaN when everything is ignored, with
/// gradient 0.
Variable focal_loss(const Variable& logits, const Tensor& labels, const FocalOptions& options = {});
/// torchvision's sigmoid_focal_loss(reduction="mean"): each element a decision of its own, target in [0, 1] of x's
/// shape and dtype, weighted alpha where it is 1 and 1 - alpha where it is 0; not for a negative alpha.
Variable sigmoid_focal_loss(const Variable& x, const Variable& target, double alpha = 0.25, double gamma = 2);

struct TverskyOptions {
  double alpha = 0.5, beta = 0.5;   ///< weights of false positives and of false negatives; 0.5 both: Dice
  bool include_background = false;  ///< class 0 counts too
  double smooth_nr = 1e-5;          ///< added to the numerator
  double smooth_dr = 1e-5;          ///< added to the denominator
  bool batch = true;                ///< sums over batch and space; else over space, and the mean is over samples, too
  std::optional<std::int32_t> ignore_index{};  ///< positions with this label count for nothing
};
/// 1 - mean over classes of (tp + smooth_nr) / (tp + alpha * fp + beta * fn + smooth_dr), p = softmax(logits), tp =
/// sum(p
/// * t), fp = sum(p * (1 - t)), fn = sum((1 - p) * t), t one-hot: MONAI's TverskyLoss(softmax=True, to_onehot_y=True),
/// whose include_background is true and whose batch is false by default. S. Salehi et al., Tversky loss function for
/// image segmentation using 3D fully convolutional deep networks, 2017.
Variable tversky_loss(const Variable& logits, const Tensor& labels, const TverskyOptions& options = {});

/// one_hot(labels)[..., k] is 1 where the label is k, as a constant of that dtype.
Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype = f32);

}  // namespace vg
