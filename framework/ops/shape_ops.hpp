// Ops that move elements without arithmetic. They are differentiable to any order, except for i32 inputs.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// One extent may be -1 (inferred). The result shares x's memory. Throws ValueError when the sizes differ.
Variable reshape(const Variable& x, const ShapeArg& shape);
/// Axis i of the result is axis axes[i] of x. Without axes, their order is reversed.
Variable transpose(const Variable& x, const std::vector<int>& axes = {});
/// As numpy. An extent -1 is that of x, as in PyTorch's expand.
Variable broadcast_to(const Variable& x, const ShapeArg& shape);
Variable expand_dims(const Variable& x, int axis);
Variable squeeze(const Variable& x, int axis);
/// Concatenates along `axis`; all other extents must be equal. Throws ValueError otherwise and for an empty list.
Variable concat(const std::vector<Variable>& parts, int axis);
/// x[start : stop : step] along each axis with step >= 1, as in numpy: stop is exclusive, negative start and stop count
/// from the end, and both are clipped to the extent. There is one entry per axis.
struct Slice {
  std::int64_t start = 0;
  std::int64_t stop = INT64_MAX;
  std::int64_t step = 1;
};
Variable slice(const Variable& x, const std::vector<Slice>& slices);
/// A slice along one axis.
Variable slice(const Variable& x, int axis, Slice s);
/// Constant padding of (before, after) elements per axis; negative numbers crop.
Variable pad(const Variable& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths, double value = 0);
/// numpy.take along `axis`: indices (i32, any shape) replace that axis. Negative indices count from the end. An index
/// out of range is a ValueError that contains it. Gradients of repeated indices are summed.
Variable gather(const Variable& x, const Tensor& indices, int axis);
/// The adjoint of gather: adds the slices of x, which has the shape of gather's result, to zeros whose `axis` has
/// `extent` entries.
Variable scatter_add(const Variable& x, const Tensor& indices, int axis, std::int64_t extent);
Variable flip(const Variable& x, const std::vector<int>& axes);
/// Shifts elements by shifts[i] along axes[i] and wraps around at the ends (numpy.roll).
Variable roll(const Variable& x, const std::vector<std::int64_t>& shifts, const std::vector<int>& axes);

}  // namespace vg
