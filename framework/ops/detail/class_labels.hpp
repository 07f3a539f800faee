// Checks and helpers that losses and metrics over class labels share.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/ops/detail/loss_volume.hpp"

namespace vg::detail {

/// Checks that every label is in [0, classes) or is the ignored one. Otherwise throws a ValueError that names
/// `argument` and the position of the first wrong label. Throws TypeError for labels that are not i32.
void check_labels(std::string_view op, std::string_view argument, const Tensor& labels, std::int64_t classes,
                  const std::optional<std::int32_t>& ignored);

/// Requires floating logits (B, ..., K), K >= 1, and labels (B, ...). Throws ValueError and TypeError.
void check_class_shapes(std::string_view op, const Variable& logits, const Tensor& labels);

/// Requires one finite weight of at least 0 per class, or none at all. Throws ValueError.
void check_class_weights(std::string_view op, std::string_view argument, const std::vector<double>& weights,
                         std::int64_t classes);

/// Requires two floating Variables of the same dtype and shape, not empty. Throws ValueError and TypeError.
void check_loss_pair(std::string_view op, const Variable& x, const Variable& target);

/// The volume of these labels, which must have been checked and must outlive it.
ClassVolume class_volume(const Tensor& labels, std::int64_t classes, const std::optional<std::int32_t>& ignored);

/// Constants for losses in simple ops: `counts` (n, 1) is 0 where the label is ignored, else 1; `target` (n, K) is
/// one-hot, and zero where the label is ignored.
struct ClassTargets {
  Variable counts, target;
};
ClassTargets class_targets(const ClassVolume& volume, DType dtype);

/// logits (n, K) with zeros where the label is ignored, so that values there, even NaN, do not reach the gradient.
Variable counted_logits(const ClassVolume& volume, const Variable& logits);

}  // namespace vg::detail
