#include "voxgrad/framework/base/shape.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

Shape::Shape(std::span<const std::int64_t> extents) {
  if (extents.size() > static_cast<std::size_t>(max_rank))
    throw ValueError(fmt::format("[Shape] rank: got {}; at most {} is allowed", extents.size(), max_rank));
  for (std::int64_t e : extents) push_back(e);
}

void Shape::push_back(std::int64_t extent) {
  if (rank_ == max_rank)
    throw ValueError(fmt::format("[Shape] rank: got {}; at most {} is allowed", rank_ + 1, max_rank));
  if (extent < 0) throw ValueError(fmt::format("[Shape] extent of axis {}: got {}; must be at least 0", rank_, extent));
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::int64_t Shape::at(int axis) const {
  return extents_[static_cast<std::size_t>(normalize_axis("Shape", axis, rank_))];
}

std::int64_t Shape::numel() const {
  std::int64_t n = 1;
  bool too_large = false;
  for (std::int64_t e : *this) {
    if (e == 0) return 0;
    too_large = too_large || __builtin_mul_overflow(n, e, &n);
  }
  if (too_large) throw ValueError("[Shape] the product of " + str() + " passes 2^63 - 1");
  return n;
}

std::string Shape::str() const { return fmt::format("({}{})", fmt::join(begin(), end(), ", "), rank_ == 1 ? "," : ""); }

ShapeArg::ShapeArg(std::span<const std::int64_t> extents) : rank_(extents.size()) {
  if (rank_ > static_cast<std::size_t>(Shape::max_rank))
    throw ValueError(fmt::format("[Shape] rank: got {}; at most {} is allowed", rank_, Shape::max_rank));
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

std::string ShapeArg::str() const { return fmt::format("({}{})", fmt::join(extents(), ", "), rank_ == 1 ? "," : ""); }

Shape ShapeArg::reshaped_from(std::string_view where, const Shape& from) const {
  const std::int64_t numel = from.numel();
  const auto unknown = std::count(extents().begin(), extents().end(), -1);
  if (unknown > 1)
    throw ValueError(
        fmt::format("[{}] shape: got {}, with more than one -1; at most one extent is inferred", where, str()));
  ShapeArg known = *this;
  std::replace(known.extents_.begin(), known.extents_.end(), std::int64_t{-1}, std::int64_t{1});
  Shape shape(known.extents());
  const std::int64_t rest = shape.numel();
  if (unknown == 0 && rest != numel)
    throw ValueError(
        fmt::format("[{}] shape: got {} of {} elements; the tensor {} has {}", where, str(), rest, from.str(), numel));
  if (unknown == 0) return shape;
  if (rest == 0 || numel % rest != 0)
    throw ValueError(fmt::format("[{}] shape: {} elements do not divide into {}", where, numel, str()));
  shape[static_cast<std::size_t>(std::find(extents_.begin(), extents_.end(), -1) - extents_.begin())] = numel / rest;
  return shape;
}

Shape ShapeArg::broadcast_from(std::string_view where, const Shape& from) const {
  ShapeArg known = *this;
  const std::size_t added = rank_ - std::min(rank_, from.size());
  for (std::size_t i = added; i < rank_; ++i)
    if (extents_[i] == -1) known.extents_[i] = from[i - added];
  const Shape shape(known.extents());
  if (from.size() > rank_ || broadcast_shapes(where, from, shape) != shape)
    throw ValueError(fmt::format("[{}] shape: got {}; {} does not broadcast to it", where, str(), from.str()));
  return shape;
}

std::string detail::str(const Triple& t) { return fmt::format("({}, {}, {})", t[0], t[1], t[2]); }

Shape broadcast_shapes(std::string_view where, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> out(static_cast<std::size_t>(rank));
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const std::int64_t ea = ia < 0 ? 1 : a[static_cast<std::size_t>(ia)],
                       eb = ib < 0 ? 1 : b[static_cast<std::size_t>(ib)];
    if (ea != eb && ea != 1 && eb != 1)
      throw ValueError(fmt::format(
          "[{}] shapes {} and {} do not broadcast: axis {} has {} and {}; they must be equal, or one of them 1", where,
          a.str(), b.str(), i, ea, eb));
    out[static_cast<std::size_t>(i)] = ea == 1 ? eb : ea;
  }
  return Shape(out);
}

int normalize_axis(std::string_view where, int axis, int rank) {
  if (axis < -rank || axis >= rank)
    throw ValueError(fmt::format("[{}] axis: got {}; must be in [{}, {}) for rank {}", where, axis, -rank, rank, rank));
  return axis < 0 ? axis + rank : axis;
}

}  // namespace vg
