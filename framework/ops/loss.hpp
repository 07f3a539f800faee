// Losses as scalars (means). Class volumes have logits (B, ..., K) with the classes last and i32 labels (B, ...). Wrong
// ranks and labels out of range are ValueErrors; for a label, the message contains its position.
//
//   vg::Variable logits = model(batch.x);                                                // (B, H, W, D, K)
//   vg::Variable loss = vg::dice_cross_entropy(logits, batch.y, {.ignore_index = 255});  // the usual choice
//   loss = vg::focal_loss(logits, batch.y, {.gamma = 2, .alpha = {0.25, 1, 1, 1}});      // rare classes, hard voxels
//   loss = vg::tversky_loss(logits, batch.y, {.alpha = 0.3, .beta = 0.7});               // misses cost more
//   loss = loss + vg::cross_entropy(logits, batch.y, {.label_smoothing = 0.1}) * 0.5;    // losses can be added
//   loss.backward();
#pragma once

#include <optional>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

struct CrossEntropyOptions {
  std::vector<double> weight{};                ///< one per class; empty: all 1. The mean uses it, as in PyTorch
  std::optional<std::int32_t> ignore_index{};  ///< positions with this label do not count
  double label_smoothing = 0;                  ///< in [0, 1)
};
/// Mean negative log-likelihood of the labels, as PyTorch's cross_entropy(reduction="mean"). If all positions are
/// ignored, it is NaN with gradient 0.
Variable cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& options = {});

/// Mean of -(w * t * log s(x) + (1 - t) * log(1 - s(x))), w = pos_weight, s = sigmoid. Targets have x's shape and
/// dtype.
Variable bce_with_logits(const Variable& x, const Variable& target, double pos_weight = 1);
/// The same with one weight per entry of the last axis: pos_weight (K), of x's dtype.
Variable bce_with_logits(const Variable& x, const Variable& target, const Tensor& pos_weight);
Variable mse_loss(const Variable& x, const Variable& target);
Variable l1_loss(const Variable& x, const Variable& target);

struct DiceOptions {
  bool include_background = false;  ///< whether class 0 counts too
  double eps = 1e-5;                ///< added to the denominator
};
/// 1 - mean over classes of 2 * sum(p * t) / (sum(p) + sum(t) + eps), p = softmax(logits), t one-hot, with sums over
/// batch and space. A class without labels has an overlap of 0, so its share of the loss is 1 even if little of it is
/// predicted: unlike tversky_loss's smooth_nr, eps is not in the numerator.
Variable soft_dice_loss(const Variable& logits, const Tensor& labels, const DiceOptions& options = {});
/// cross_entropy + soft_dice_loss in one pass. Positions that ce ignores do not count in dice either.
Variable dice_cross_entropy(const Variable& logits, const Tensor& labels, const CrossEntropyOptions& ce = {},
                            const DiceOptions& dice = {});

struct FocalOptions {
  double gamma = 2;                            ///< at least 0; 0 gives cross entropy
  std::vector<double> alpha{};                 ///< one weight per class; empty means all 1
  std::optional<std::int32_t> ignore_index{};  ///< positions with this label do not count
};
/// -alpha[label] * (1 - p)^gamma * log p, p = softmax(logits)[label], averaged over positions and classes (gamma = 0
/// gives cross_entropy divided by the number of classes). MONAI's FocalLoss(use_softmax=True, to_onehot_y=True,
/// weight=alpha); T.-Y. Lin et al., Focal loss for dense object detection, 2017. If all positions are ignored, it is
/// NaN with gradient 0.
Variable focal_loss(const Variable& logits, const Tensor& labels, const FocalOptions& options = {});
/// torchvision's sigmoid_focal_loss(reduction="mean"): each element is a separate decision. target is in [0, 1] and has
/// x's shape and dtype. The weight is alpha where target is 1 and 1 - alpha where it is 0; a negative alpha means no
/// weights.
Variable sigmoid_focal_loss(const Variable& x, const Variable& target, double alpha = 0.25, double gamma = 2);

struct TverskyOptions {
  double alpha = 0.5, beta = 0.5;   ///< weights of false positives and of false negatives; both 0.5 give Dice
  bool include_background = false;  ///< whether class 0 counts too
  double smooth_nr = 1e-5;          ///< added to the numerator
  double smooth_dr = 1e-5;          ///< added to the denominator
  bool batch = true;                ///< sums over batch and space; else over space, and the mean also over samples
  std::optional<std::int32_t> ignore_index{};  ///< positions with this label do not count
};
/// 1 - mean over classes of (tp + smooth_nr) / (tp + alpha * fp + beta * fn + smooth_dr), with p = softmax(logits), t
/// one-hot, tp = sum(p * t), fp = sum(p * (1 - t)), fn = sum((1 - p) * t). MONAI's TverskyLoss(softmax=True,
/// to_onehot_y=True), whose defaults are include_background = true and batch = false. S. Salehi et al., Tversky loss
/// function for image segmentation using 3D fully convolutional deep networks, 2017.
Variable tversky_loss(const Variable& logits, const Tensor& labels, const TverskyOptions& options = {});

/// one_hot(labels)[..., k] is 1 where the label is k, else 0; a constant of `dtype` and shape (labels' shape, classes).
Tensor one_hot(const Tensor& labels, std::int64_t classes, DType dtype = f32);

}  // namespace vg
