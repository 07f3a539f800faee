#include "voxgrad/layers/conv/geometry.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg {

namespace {
// Products and sums of a few numbers up to this stay within 64 bits.
constexpr std::int64_t largest = 2147483647;
}  // namespace

Triple TripleArg::checked(std::string_view where, std::string_view argument) const {
  if (entries_.size() != 1 && entries_.size() != 3)
    throw TypeError(fmt::format("[{}] {}: got {} entries ({}); must be one number, or a list of 1 or 3", where,
                                argument, entries_.size(), fmt::join(entries_, ", ")));
  if (std::any_of(entries_.begin(), entries_.end(), [](std::int64_t e) { return e < 1 || e > largest; }))
    throw ValueError(fmt::format("[{}] {}: got ({}); every entry must be at least 1 (and below 2^31)", where, argument,
                                 fmt::join(entries_, ", ")));
  if (entries_.size() == 1) return {entries_[0], entries_[0], entries_[0]};
  return {entries_[0], entries_[1], entries_[2]};
}

Padding::Padding(const std::vector<std::int64_t>& sides) : ints_(true) {
  for (std::int64_t side : sides) pads_.emplace_back(side, side);
}

void Padding::check(std::string_view where) const {
  constexpr std::string_view allowed = R"(must be "SAME", "VALID", an int, 3 ints, one (before, after) or 3 of them)";
  if (!text_.empty()) {
    if (text_ != "SAME" && text_ != "VALID")
      throw ValueError(fmt::format("[{}] padding: got \"{}\"; {}", where, text_, allowed));
    return;
  }
  if (pads_.size() != 3 && (ints_ || pads_.size() != 1))
    throw ValueError(
        fmt::format("[{}] padding: got {} {}; {}", where, pads_.size(), ints_ ? "ints" : "pairs", allowed));
  for (const auto& [before, after] : pads_)
    if (std::max(before, after) > largest || std::min(before, after) < -largest)
      throw ValueError(fmt::format("[{}] padding: got ({}, {}); must be below 2^31", where, before, after));
}

Padding::Mode Padding::mode() const {
  if (text_.empty()) return Mode::explicit_pads;
  return text_ == "SAME" ? Mode::same : Mode::valid;
}

std::array<Pads, 3> Padding::explicit_pads() const {
  return pads_.size() == 1 ? std::array{pads_[0], pads_[0], pads_[0]} : std::array{pads_[0], pads_[1], pads_[2]};
}

std::array<Pads, 3> Padding::resolve(const Triple& in, const Triple& kernel, const Triple& stride) const {
  if (mode() == Mode::explicit_pads) return explicit_pads();
  std::array<Pads, 3> pads{};
  if (mode() == Mode::valid) return pads;
  for (std::size_t i = 0; i < 3; ++i) {
    // (ceil(in / stride) - 1) * stride + kernel - in, computed without overflow for any extent
    const std::int64_t left = in[i] == 0 ? stride[i] : 1 + (in[i] - 1) % stride[i];
    const std::int64_t pad = std::max<std::int64_t>(0, kernel[i] - left);
    pads[i] = {pad / 2, pad - pad / 2};
  }
  return pads;
}

Value Padding::describe() const {
  if (!text_.empty()) return text_;
  std::vector<std::int64_t> numbers;
  for (const auto& [before, after] : explicit_pads()) numbers.insert(numbers.end(), {before, after});
  return numbers;
}

void field(Fields& f, std::string_view name, TripleArg& extents) {
  const std::vector<std::int64_t>& entries = extents.entries();
  if (f.listing()) return f.list(name, entries.size() == 1 ? fmt::format("{}", entries[0]) : "", !extents.given());
  if (f.checking()) extents = extents.checked(f.where(), name);
  std::vector<std::int64_t> stored = extents.entries();
  f.pass(name, stored, "a list of integers", extents.given());
  extents = std::move(stored);
}

void field(Fields& f, std::string_view name, Padding& padding) {
  if (f.checking()) return padding.check(f.where());
  const Value stored = padding.given() ? padding.describe() : Value(std::vector<std::int64_t>{});
  const Value* found = f.loading() ? f.find(name) : nullptr;
  if (std::holds_alternative<std::string>(found != nullptr ? *found : stored)) {
    std::string mode = found != nullptr ? "" : std::get<std::string>(stored);
    f.pass(name, mode, "a string");
    padding = mode;
    return;
  }
  std::vector<std::int64_t> sides;
  if (found == nullptr) sides = std::get<std::vector<std::int64_t>>(stored);
  f.pass(name, sides, "a list of integers", padding.given());
  if (!f.loading()) return;
  if (sides.size() != 6)
    f.refuse(name, fmt::format("the description has {} numbers; must be \"SAME\", \"VALID\" or 6", sides.size()));
  padding = std::vector<Pads>{{sides[0], sides[1]}, {sides[2], sides[3]}, {sides[4], sides[5]}};
}

void field(Fields& f, std::string_view name, Compute& compute) {
  std::string text(name_of(compute));
  if (f.listing()) return f.list(name, text);
  f(name, text);
  for (const Compute c : {Compute::automatic, Compute::full, Compute::bf16})
    if (name_of(c) == text) compute = c;
  if (f.loading() && name_of(compute) != text) f.refuse(name, fmt::format("got \"{}\"; must be full or bf16", text));
}

Triple dilated(const Triple& size, const Triple& dilation) {
  Triple out{};
  for (std::size_t i = 0; i < 3; ++i) out[i] = 1 + (size[i] - 1) * dilation[i];
  return out;
}

void check_size(std::string_view where, const Size& size, std::size_t entries) {
  if (size.size() != entries)
    throw ValueError(fmt::format("[{}] in_size: got {} with {} entries; must have {}", where, size_text(size),
                                 size.size(), entries));
  check_extents(where, size);
  if (size.back() == dynamic)
    throw ValueError(fmt::format("[{}] in_size: got {}; the channels (last) must be fixed", where, size_text(size)));
}

void check_extents(std::string_view where, const Size& size) {
  if (std::any_of(size.begin(), size.end(), [](std::int64_t e) { return (e < 1 && e != dynamic) || e > largest; }))
    throw ValueError(
        fmt::format("[{}] in_size: got {}; every extent must be at least 1 (and below 2^31), or vg::dynamic", where,
                    size_text(size)));
}

std::string size_text(const Size& size) {
  std::string text = "(";
  for (std::size_t i = 0; i < size.size(); ++i) {
    if (i > 0) text += ", ";
    text += size[i] == dynamic ? "dynamic" : std::to_string(size[i]);
  }
  return text + (size.size() == 1 ? ",)" : ")");
}

}  // namespace vg
