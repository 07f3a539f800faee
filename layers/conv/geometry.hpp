// The spatial arguments of layers over volumes: three extents, and paddings.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/fields.hpp"
#include "voxgrad/framework/ops/conv3d.hpp"

namespace vg {

/// The extents of one sample, channels last: (H, W, D, C). An extent may be vg::dynamic if the layer allows it.
using Size = std::vector<std::int64_t>;
/// (before, after) of one axis.
using Pads = std::pair<std::int64_t, std::int64_t>;

template <class T>
concept Integer = std::integral<T> && !std::same_as<std::remove_cv_t<T>, bool>;

/// One number for all three spatial axes, or a list of 1 or 3 numbers. The layer checks it and names the argument.
class TripleArg {
 public:
  TripleArg() = default;  ///< not given
  TripleArg(Integer auto all) : entries_{static_cast<std::int64_t>(all)} {}
  TripleArg(std::initializer_list<std::int64_t> entries) : entries_(entries) {}
  TripleArg(std::vector<std::int64_t> entries) : entries_(std::move(entries)) {}
  TripleArg(const Triple& entries) : entries_(entries.begin(), entries.end()) {}

  bool given() const { return !entries_.empty(); }
  /// The three entries. Throws TypeError unless there are 1 or 3, and ValueError unless each is at least 1. The
  /// messages begin with [where] and name the argument.
  Triple checked(std::string_view where, std::string_view argument) const;
  /// The three entries, once they have been checked.
  Triple values() const { return {entries_[0], entries_[1], entries_[2]}; }
  /// The entries as they were given.
  const std::vector<std::int64_t>& entries() const { return entries_; }
  bool operator==(const TripleArg&) const = default;

 private:
  std::vector<std::int64_t> entries_;
};

/// "SAME", "VALID", one int for all sides, 3 ints (one per axis, for both sides), one (before, after) for all axes, or
/// one per axis. Negative numbers crop.
class Padding {
 public:
  enum class Mode : std::uint8_t { same, valid, explicit_pads };

  Padding() = default;  ///< not given
  Padding(const char* mode) : text_(mode) {}
  Padding(std::string mode) : text_(std::move(mode)) {}
  Padding(Integer auto all) : pads_(3, {static_cast<std::int64_t>(all), static_cast<std::int64_t>(all)}) {}
  Padding(std::initializer_list<std::int64_t> sides) : Padding(std::vector<std::int64_t>(sides)) {}
  Padding(std::initializer_list<Pads> pads) : pads_(pads) {}
  Padding(const std::vector<std::int64_t>& sides);
  Padding(std::vector<Pads> pads) : pads_(std::move(pads)) {}

  bool given() const { return !text_.empty() || !pads_.empty(); }
  /// Throws ValueError, with a message that begins with [where], for any other string or number of entries.
  void check(std::string_view where) const;
  Mode mode() const;
  /// The explicit pads. Call it only in that mode.
  std::array<Pads, 3> explicit_pads() const;
  /// (before, after) per axis for windows with effective extents `kernel` over `in`. SAME gives ceil(in / stride)
  /// outputs; an odd padding is larger after.
  std::array<Pads, 3> resolve(const Triple& in, const Triple& kernel, const Triple& stride) const;
  /// "SAME", "VALID", or (before, after) of each axis as a list of 6 numbers.
  Value describe() const;

 private:
  std::string text_;
  std::vector<Pads> pads_;
  bool ints_ = false;  // given as a list of ints
};

/// The members of these types in a list of options (framework/nn/fields.hpp). Checking an extent makes it three
/// entries.
void field(Fields& f, std::string_view name, TripleArg& extents);
void field(Fields& f, std::string_view name, Padding& padding);
void field(Fields& f, std::string_view name, Compute& compute);

/// 1 + (size - 1) * dilation per axis.
Triple dilated(const Triple& size, const Triple& dilation);
/// Throws ValueError, with a message that begins with [where], for an extent that is neither positive nor vg::dynamic.
void check_extents(std::string_view where, const Size& in_size);
/// Like check_extents(); also throws unless there are `entries` extents and the last one, the channels, is fixed.
void check_size(std::string_view where, const Size& in_size, std::size_t entries);
/// "(8, dynamic, 8, 4)"
std::string size_text(const Size& size);

}  // namespace vg
