// Ops that move elements and compute nothing. All but i32 inputs are differentiable, to any order.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// One extent may be -1 (inferred). Shares the memory.
Variable reshape(const Variable& x, const ShapeArg& shape);
/// Axis i of the result is axis axes[i] of x; no axes: reversed.
Variable transpose(const Variable& x, const std::vector<int>& axes = {});
/// As numpy. An extent -1 is that of x, as in PyTorch's expand.
Variable broadcast_to(const Variable& x, const ShapeArg& shape);
Variable expand_dims(const Variable& x, int axis);
Variable squeeze(const Variable& x, int axis);
/// Joined along `axis`; all other extents equal. Throws ValueError for an empty list.
Variable concat(const std::vector<Variable>& parts, int axis);
/// x[start : stop : step] along each axis, start inclusive, as numpy (negative start and stop count from the end, both
/// are clipped to the extent); step >= 1. One entry an axis.
struct Slice {
  std::int64_t start = 0;
  std::int64_t stop = INT64_MAX;
  std::int64_t step = 1;
};
Variable slice(const Variable& x, const std::vector<Slice>& slices);
/// Along one axis.
Variable slice(const Variable& x, int axis, Slice s);
/// Constant padding, (before, after) an axis; negative numbers crop.
Variable pad(const Variable& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths, double value = 0);
/// numpy.take along `axis`: indices (i32, any shape) replace that axis. Negative indices count from the end; one out of
/// range is a ValueError that names it. Repeated indices add up in the gradient.
Variable gather(const Variable& x, const Tensor& indices, int axis);
/// The adjoint of gather: adds the slices of x (shaped as gather's result) into zeros whose `axis` has `extent`
/// entries.
Variable scatter_add(const Variable& x, const Tensor& indices, int axis, std::int64_t extent);
Variable flip(const Variable& x, const std::vector<int>& axes);
/// Elements shifted by shifts[i] along axes[i], those that leave come in on the other side (numpy.roll).
Variable roll(const Variable& x, const std::vector<std::int64_t>& shifts, const std::vector<int>& axes);

}  // namespace vg
