// Shape: up to 8 extents, stored in place, so that creating a tensor does not allocate memory for its shape.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

namespace vg {

/// Three values, one for each spatial axis: (H, W, D).
using Triple = std::array<std::int64_t, 3>;

class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;  ///< rank 0: a scalar
  Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  Shape(const std::vector<std::int64_t>& extents) : Shape(std::span<const std::int64_t>(extents)) {}
  /// Throws ValueError for a rank over 8 or a negative extent.
  explicit Shape(std::span<const std::int64_t> extents);

  int rank() const { return rank_; }
  std::size_t size() const { return static_cast<std::size_t>(rank_); }
  bool empty() const { return rank_ == 0; }
  /// The extent of an axis; a negative axis counts from the end. Throws ValueError when there is no such axis.
  std::int64_t at(int axis) const;
  std::int64_t operator[](std::size_t axis) const { return extents_[axis]; }
  std::int64_t& operator[](std::size_t axis) { return extents_[axis]; }
  std::int64_t back() const { return extents_[static_cast<std::size_t>(rank_ - 1)]; }
  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }
  const std::int64_t* data() const { return extents_.data(); }
  void push_back(std::int64_t extent);

  /// The product of the extents (1 for a scalar). Throws ValueError when it exceeds 2^63 - 1.
  std::int64_t numel() const;
  std::vector<std::int64_t> vec() const { return {begin(), end()}; }
  /// "(2, 3, 4)"
  std::string str() const;

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.extents_[static_cast<std::size_t>(i)] != b.extents_[static_cast<std::size_t>(i)]) return false;
    return true;
  }

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

/// A shape as an argument of reshape and broadcast_to: an extent may be -1, which the function replaces.
class ShapeArg {
 public:
  ShapeArg(std::initializer_list<std::int64_t> extents) : ShapeArg(std::span(extents.begin(), extents.size())) {}
  ShapeArg(const std::vector<std::int64_t>& extents) : ShapeArg(std::span<const std::int64_t>(extents)) {}
  ShapeArg(const Shape& shape) : ShapeArg(std::span(shape.begin(), shape.size())) {}
  /// Throws ValueError for a rank over Shape::max_rank.
  explicit ShapeArg(std::span<const std::int64_t> extents);

  /// The shape with as many elements as `from`; at most one extent is -1. Throws ValueError, beginning with [where],
  /// when the numbers of elements differ.
  Shape reshaped_from(std::string_view where, const Shape& from) const;
  /// The shape to which `from` broadcasts; -1 keeps the extent of `from`. Throws ValueError, beginning with [where],
  /// when it does not broadcast.
  Shape broadcast_from(std::string_view where, const Shape& from) const;

 private:
  std::span<const std::int64_t> extents() const { return {extents_.data(), rank_}; }
  std::string str() const;

  std::array<std::int64_t, Shape::max_rank> extents_{};
  std::size_t rank_;
};

namespace detail {
/// "(2, 3, 4)"
std::string str(const Triple& t);
}  // namespace detail

/// Numpy's broadcast of two shapes. Throws ValueError, beginning with [where], when they are incompatible.
Shape broadcast_shapes(std::string_view where, const Shape& a, const Shape& b);
/// Converts an axis in [-rank, rank) to one in [0, rank). Throws ValueError, beginning with [where], otherwise.
int normalize_axis(std::string_view where, int axis, int rank);

}  // namespace vg
