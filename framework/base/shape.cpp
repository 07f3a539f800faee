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
