#include "voxgrad/framework/ops/shape_ops.hpp"

#include <algorithm>
#include <numeric>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/detail/strided.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

using detail::contiguous_strides;
using detail::copy_strided;
using detail::Strides;

std::size_t index_of(int axis) { return static_cast<std::size_t>(axis); }

Shape without_axis(const Shape& shape, std::size_t axis) {
  Shape out;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (i != axis) out.push_back(shape[i]);
  return out;
}

// A tensor of `shape` with the elements of x that `offset` and `strides` select.
Tensor gathered(const Tensor& x, const Shape& shape, std::int64_t offset, const Strides& strides) {
  Tensor y(shape, x.dtype());
  copy_strided(x.dtype(), shape, y.raw(), 0, contiguous_strides(shape), x.raw(), offset, strides);
  return y;
}

}  // namespace

Variable reshape(const Variable& x, const ShapeArg& shape) {
  return record(
      "reshape", x.value().reshape(shape), {x},
      [from = x.shape()](const VjpContext& p) -> Grads { return {reshape(p.grad, from)}; }, SaveOutput::no);
}

Variable transpose(const Variable& x, const std::vector<int>& axes) {
  const int rank = x.rank();
  std::vector<int> order = axes, inverse(index_of(rank), -1);
  if (order.empty())
    for (int i = rank; i-- > 0;) order.push_back(i);
  if (static_cast<int>(order.size()) != rank)
    throw ValueError(fmt::format("[transpose] axes: got {} entries; must be {}, one per axis", order.size(), rank));
  const Strides own = contiguous_strides(x.shape());
  Strides strides{};
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    const int from = normalize_axis("transpose", order[index_of(i)], rank);
    if (inverse[index_of(from)] >= 0)
      throw ValueError(fmt::format("[transpose] axes: got axis {} twice; each must come once", from));
    inverse[index_of(from)] = i;
    strides[index_of(i)] = own[index_of(from)];
    shape.push_back(x.shape()[index_of(from)]);
  }
  const OpGuard scope("transpose");
  return record(
      "transpose", gathered(x.value(), shape, 0, strides), {x},
      [inverse](const VjpContext& p) -> Grads { return {transpose(p.grad, inverse)}; }, SaveOutput::no);
}

Variable broadcast_to(const Variable& x, const ShapeArg& to) {
  const Shape shape = to.broadcast_from("broadcast_to", x.shape());
  if (x.shape() == shape) return x;
  const OpGuard scope("broadcast_to");
  return record(
      "broadcast_to", gathered(x.value(), shape, 0, detail::broadcast_strides(x.shape(), shape)), {x},
      [from = x.shape()](const VjpContext& p) -> Grads { return {sum_to(p.grad, from)}; }, SaveOutput::no);
}

Variable expand_dims(const Variable& x, int axis) {
  const int at = normalize_axis("expand_dims", axis, x.rank() + 1);
  std::vector<std::int64_t> shape = x.shape().vec();
  shape.insert(shape.begin() + at, 1);
  return reshape(x, shape);
}

Variable squeeze(const Variable& x, int axis) {
  const auto at = index_of(normalize_axis("squeeze", axis, x.rank()));
  if (x.shape()[at] != 1)
    throw ValueError(fmt::format("[squeeze] axis: got {}, whose extent is {}; it must be 1", axis, x.shape()[at]));
  return reshape(x, without_axis(x.shape(), at));
}

namespace {

Tensor concatenated(const std::vector<Variable>& parts, std::size_t axis, const Shape& shape) {
  const OpGuard scope("concat");
  Tensor y(shape, parts[0].dtype());
  const Strides strides = contiguous_strides(shape);
  std::int64_t start = 0;
  for (const Variable& part : parts) {
    copy_strided(y.dtype(), part.shape(), y.raw(), start * strides[axis], strides, part.value().raw(), 0,
                 contiguous_strides(part.shape()));
    start += part.shape()[axis];
  }
  return y;
}

}  // namespace

Variable concat(const std::vector<Variable>& parts, int axis) {
  if (parts.empty()) throw ValueError("[concat] parts: got none; must be at least one");
  const Shape& first = parts[0].shape();
  const auto at = index_of(normalize_axis("concat", axis, first.rank()));
  Shape shape = first;
  shape[at] = 0;
  std::vector<Slice> pieces;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    detail::check_same_dtype("concat", parts[0], parts[i]);
    const Shape& s = parts[i].shape();
    if (s.rank() != first.rank() || without_axis(s, at) != without_axis(first, at))
      throw ValueError(fmt::format("[concat] parts: number {} has shape {}; must be as {} except along axis {}", i,
                                   s.str(), first.str(), at));
    pieces.push_back({shape[at], shape[at] + s[at], 1});
    shape[at] += s[at];
  }
  const Vjp vjp = [pieces, at](const VjpContext& p) -> Grads {
    Grads grads(pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i)
      if (p.needs(i)) grads[i] = slice(p.grad, static_cast<int>(at), pieces[i]);
    return grads;
  };
  if (at + 1 != shape.size()) return record("concat", concatenated(parts, at, shape), parts, vjp, SaveOutput::no);
  // along the channels it is lazy, because a convolution can read the parts in place
  const auto value_of = [](const detail::Lazy& lazy, const kernels::Activation&, bool) {
    return concatenated(lazy.parts, lazy.shape.size() - 1, lazy.shape);
  };
  return record_lazy("concat",
                     std::make_shared<detail::Lazy>(fusion::Op::concat, shape, parts[0].dtype(), value_of, parts),
                     parts, vjp);
}

namespace {

// A slice resolved against the extents: element i of an axis is element start + i * step of the original.
struct Region {
  std::vector<std::int64_t> start, step;
  Shape shape;
};

Region resolve(const Shape& shape, const std::vector<Slice>& slices) {
  if (slices.size() != shape.size())
    throw ValueError(
        fmt::format("[slice] slices: got {} entries; must be {}, one per axis", slices.size(), shape.rank()));
  Region r;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const auto [start, stop, step] = slices[i];
    if (step < 1) throw ValueError(fmt::format("[slice] step of axis {}: got {}; must be at least 1", i, step));
    const std::int64_t extent = shape[i];
    const auto clipped = [extent](std::int64_t v) {
      return v < 0 ? (v < -extent ? 0 : v + extent) : std::min(v, extent);
    };
    const std::int64_t from = clipped(start), length = std::max<std::int64_t>(0, clipped(stop) - from);
    r.start.push_back(from);
    r.step.push_back(step);
    r.shape.push_back(length / step + (length % step != 0));
  }
  return r;
}

// The strides and offset of a region within a tensor of `shape`.
std::pair<std::int64_t, Strides> within(const Region& r, const Shape& shape) {
  Strides strides = contiguous_strides(shape);
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    offset += r.start[i] * strides[i];
    strides[i] = r.shape[i] > 1 ? strides[i] * r.step[i] : 0;  // a huge step of a single element must not overflow
  }
  return {offset, strides};
}

Variable slice_region(const Variable& x, const Region& r);

// The adjoint of a slice: x embedded in zeros of `shape`.
Variable embed(const Variable& x, const Region& r, const Shape& shape) {
  const OpGuard scope("slice");
  Tensor y = Tensor::zeros(shape, x.dtype());
  const auto [offset, strides] = within(r, shape);
  copy_strided(x.dtype(), x.shape(), y.raw(), offset, strides, x.value().raw(), 0, contiguous_strides(x.shape()));
  return record(
      "slice_adjoint", std::move(y), {x}, [r](const VjpContext& p) -> Grads { return {slice_region(p.grad, r)}; },
      SaveOutput::no);
}

Variable slice_region(const Variable& x, const Region& r) {
  const auto [offset, strides] = within(r, x.shape());
  const OpGuard scope("slice");
  return record(
      "slice", gathered(x.value(), r.shape, offset, strides), {x},
      [r, shape = x.shape()](const VjpContext& p) -> Grads { return {embed(p.grad, r, shape)}; }, SaveOutput::no);
}

}  // namespace

Variable slice(const Variable& x, const std::vector<Slice>& slices) {
  return slice_region(x, resolve(x.shape(), slices));
}

Variable slice(const Variable& x, int axis, Slice s) {
  std::vector<Slice> slices(index_of(x.rank()));
  slices[index_of(normalize_axis("slice", axis, x.rank()))] = s;
  return slice(x, slices);
}

namespace {

// The part of x that is in the padded tensor, per axis: [start, stop) of x is copied to `to`.
struct Landing {
  std::int64_t start, stop, to;
};

Tensor padded(const Tensor& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths, double value) {
  const OpGuard scope("pad");
  Shape shape, copied;
  std::int64_t from = 0, to = 0;
  const Strides x_strides = contiguous_strides(x.shape());
  std::vector<Landing> landings;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const auto [before, after] = widths[i];
    std::int64_t extent = 0, most = 0;
    if (__builtin_add_overflow(x.shape()[i], before, &extent) || __builtin_add_overflow(extent, after, &extent) ||
        extent < 0 || __builtin_add_overflow(x.shape()[i], after, &most) || std::min(before, after) == INT64_MIN)
      throw ValueError(
          fmt::format("[pad] widths of axis {}: got ({}, {}) for an extent of {}; the result's must be at least 0", i,
                      before, after, x.shape()[i]));
    shape.push_back(extent);
    const std::int64_t start = std::max<std::int64_t>(0, -before), stop = std::min(x.shape()[i], extent - before);
    landings.push_back({start, std::max(start, stop), std::max<std::int64_t>(0, before)});
    copied.push_back(landings.back().stop - start);
  }
  Tensor y = Tensor::full(shape, value, x.dtype());
  const Strides y_strides = contiguous_strides(shape);
  for (std::size_t i = 0; i < widths.size(); ++i) {
    from += landings[i].start * x_strides[i];
    to += landings[i].to * y_strides[i];
  }
  copy_strided(x.dtype(), copied, y.raw(), to, y_strides, x.raw(), from, x_strides);
  return y;
}

}  // namespace

Variable pad(const Variable& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& widths, double value) {
  if (widths.size() != x.shape().size())
    throw ValueError(fmt::format("[pad] widths: got {} entries; must be {}, one per axis", widths.size(), x.rank()));
  if (x.dtype() == i32 && value != std::trunc(value))
    throw ValueError(fmt::format("[pad] value: got {} for an i32 Variable; must be a whole number", value));
  return record(
      "pad", padded(x.value(), widths, value), {x},
      [widths](const VjpContext& p) -> Grads {
        auto back = widths;
        for (auto& [before, after] : back) before = -before, after = -after;
        return {pad(p.grad, back)};
      },
      SaveOutput::no);
}

Variable flip(const Variable& x, const std::vector<int>& axes) {
  Strides strides = contiguous_strides(x.shape());
  std::int64_t offset = 0;
  std::vector<bool> seen(x.shape().size());
  for (int axis : axes) {
    const auto at = index_of(normalize_axis("flip", axis, x.rank()));
    if (seen[at]) throw ValueError(fmt::format("[flip] axes: got axis {} twice; each must come once", at));
    seen[at] = true;
    offset += (x.shape()[at] - 1) * strides[at];
    strides[at] = -strides[at];
  }
  const OpGuard scope("flip");
  return record(
      "flip", gathered(x.value(), x.shape(), offset, strides), {x},
      [axes](const VjpContext& p) -> Grads { return {flip(p.grad, axes)}; }, SaveOutput::no);
}

Variable roll(const Variable& x, const std::vector<std::int64_t>& shifts, const std::vector<int>& axes) {
  if (shifts.size() != axes.size())
    throw ValueError(
        fmt::format("[roll] shifts: got {} entries; must be {}, one per axis in axes", shifts.size(), axes.size()));
  const OpGuard scope("roll");
  Tensor value = x.value();
  std::vector<std::int64_t> back;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto at = index_of(normalize_axis("roll", axes[i], x.rank()));
    const std::int64_t extent = x.shape()[at], shift = extent == 0 ? 0 : (shifts[i] % extent + extent) % extent;
    back.push_back(extent - shift);
    if (shift == 0) continue;
    const Strides strides = contiguous_strides(x.shape());
    Tensor next(x.shape(), x.dtype());
    for (const auto& [from, to, length] :
         {std::array{std::int64_t{0}, shift, extent - shift}, std::array{extent - shift, std::int64_t{0}, shift}}) {
      Shape part = x.shape();
      part[at] = length;
      copy_strided(x.dtype(), part, next.raw(), to * strides[at], strides, value.raw(), from * strides[at], strides);
    }
    value = next;
  }
  return record(
      "roll", std::move(value), {x}, [back, axes](const VjpContext& p) -> Grads { return {roll(p.grad, back, axes)}; },
      SaveOutput::no);
}

}  // namespace vg
