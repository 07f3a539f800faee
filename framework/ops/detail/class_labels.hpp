// What losses and metrics over class labels check and need alike.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/ops/detail/loss_volume.hpp"

namespace vg::detail {

/// Every label in [0, classes) or the ignored one; else a ValueError that names `argument` and the first other one's
/// position. Throws TypeError for labels that are not i32.
void check_labels(std::string_view op, std::string_view argument, const Tensor& labels, std::int64_t classes,
                  const std::optional<std::int32_t>& ignored);

/// Floating logits (B, ..., K), K >= 1, labels of their shape without K. Throws ValueError and TypeError.
void check_class_shapes(std::string_view op, const Variable& logits, const Tensor& labels);

/// One finite weight of at least 0 for each class, or none. Throws ValueError.
void check_class_weights(std::string_view op, std::string_view argument, const std::vector<double>& weights,
                         std::int64_t classes);

/// Two floating Variables of the same dtype and shape, with at least one element. Throws ValueError and TypeError.
void check_loss_pair(std::string_view op, const Variable& x, const Variable& target);

/// The volume of these labels, which were checked; they must outlive it.
ClassVolume class_volume(const Tensor& labels, std::int64_t classes, const std::optional<std::int32_t>& ignored);

/// Constants for losses in simple ops: `counts` (n, 1) is 0 where the label is ignored, else 1; `target` (n, K) is
/// one-hot, zeros there.
struct ClassTargets {
  Variable counts, target;
};
ClassTargets class_targets(const ClassVolume& volume, DType dtype);

/// logits (n, K) with zeros where the label is ignored: what is there, a NaN too, reaches no gradient.
Variable counted_logits(const ClassVolume& volume, const Variable& logits);

}  // namespace vg::detail
