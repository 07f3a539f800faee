#include "voxgrad/framework/nn/fields.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/shape.hpp"

namespace vg {

namespace {

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(std::int64_t value) { return fmt::format("{}", value); }
std::string text_of(double value) { return std::isnan(value) ? std::string() : fmt::format("{}", value); }
std::string text_of(const std::string& value) { return value.empty() ? value : fmt::format("\"{}\"", value); }
template <class T>
std::string text_of(const std::vector<T>& values) {
  return values.empty() ? std::string() : fmt::format("{{{}}}", fmt::join(values, ", "));
}

bool is_axis(std::int64_t axis) { return axis >= -Shape::max_rank && axis < Shape::max_rank; }

}  // namespace

std::string Range::str() const {
  if (!text.empty()) return std::string(text);
  return std::isinf(most) ? fmt::format("at least {}", least) : fmt::format("in [{}, {}]", least, most);
}

void require_in(const Range& allowed, std::string_view where, std::string_view name, double value) {
  if (!allowed.holds(value))
    throw ValueError(fmt::format("[{}] {}: got {}; must be {}", where, name, value, allowed.str()));
}

void Fields::refuse(std::string_view name, std::string_view text) const {
  throw ValueError(fmt::format("[{}] {}: {}", where_, name, text));
}

const Value* Fields::find(std::string_view name) const {
  const auto it = std::find_if(from_->begin(), from_->end(), [&](const auto& entry) { return entry.first == name; });
  return it == from_->end() ? nullptr : &it->second;
}

void Fields::list(std::string_view name, std::string value, bool required) {
  listed_.push_back({std::string(name), std::move(value), required && !optional_});
}

template <class T>
void Fields::pass(std::string_view name, T& value, std::string_view type, bool given) {
  if (saving()) saved_.emplace_back(std::string(name), Value(value));
  if (listing()) list(name, given ? text_of(value) : "", !given);
  if (!loading()) return;
  const Value* found = find(name);
  if (found == nullptr && given) return;
  if (found == nullptr || !std::holds_alternative<T>(*found))
    refuse(name, fmt::format("the description has {}; must be {}",
                             found == nullptr ? "no such option" : "a value of another type", type));
  value = std::get<T>(*found);
}

template void Fields::pass(std::string_view, std::string&, std::string_view, bool);
template void Fields::pass(std::string_view, std::vector<std::int64_t>&, std::string_view, bool);
template void Fields::pass(std::string_view, std::vector<double>&, std::string_view, bool);

template <class T>
void Fields::number(std::string_view name, T& value, const Range& allowed, std::string_view type) {
  if (checking()) return require_in(allowed, where_, name, static_cast<double>(value));
  pass(name, value, type, allowed.holds(static_cast<double>(value)));
}

void Fields::operator()(std::string_view name, bool& value) { pass(name, value, "true or false"); }
void Fields::operator()(std::string_view name, std::int64_t& value, const Range& allowed) {
  number(name, value, allowed, "an integer");
}
void Fields::operator()(std::string_view name, double& value, const Range& allowed) {
  number(name, value, allowed, "a real");
}

void Fields::operator()(std::string_view name, std::string& value, std::initializer_list<std::string_view> allowed) {
  if (checking() && allowed.size() != 0 && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
    std::string names;
    for (const std::string_view& one : allowed)
      names += fmt::format("{}\"{}\"", &one == allowed.begin() ? "" : &one + 1 == allowed.end() ? " or " : ", ", one);
    refuse(name, fmt::format("got \"{}\"; must be {}", value, names));
  }
  pass(name, value, "a string");
}

void Fields::operator()(std::string_view name, std::vector<std::int64_t>& value) {
  pass(name, value, "a list of integers");
}
void Fields::operator()(std::string_view name, std::vector<double>& value) { pass(name, value, "a list of reals"); }

void Fields::operator()(std::string_view name, std::array<double, 2>& pair, const Range& each) {
  for (std::size_t i = 0; checking() && i < 2; ++i) require_in(each, where_, fmt::format("{}[{}]", name, i), pair[i]);
  std::vector<double> both(pair.begin(), pair.end());
  pass(name, both, "a list of reals");
  if (both.size() != 2) refuse(name, fmt::format("got {} numbers; must be 2", both.size()));
  pair = {both[0], both[1]};
}

void Fields::operator()(std::string_view name, int& axis) {
  std::int64_t wide = axis;
  pass(name, wide, "an integer");
  if (!is_axis(wide)) refuse(name, fmt::format("got {}; must be an axis", wide));
  axis = static_cast<int>(wide);
}

void Fields::operator()(std::string_view name, std::vector<int>& axes) {
  std::vector<std::int64_t> wide(axes.begin(), axes.end());
  pass(name, wide, "a list of integers");
  for (const std::int64_t axis : wide)
    if (!is_axis(axis)) refuse(name, fmt::format("got {}; must be an axis", axis));
  axes.assign(wide.begin(), wide.end());
}

namespace {
template <class T>
void optional_number(Fields& f, std::string_view name, std::optional<T>& value, const Range& allowed) {
  if (f.loading()) value = f.has(name) ? std::optional<T>(T{}) : std::nullopt;
  if (value)
    f(name, *value, allowed);
  else if (f.listing())
    f.list(name, "");
}
}  // namespace

void Fields::operator()(std::string_view name, std::optional<std::int64_t>& value, const Range& allowed) {
  optional_number(*this, name, value, allowed);
}
void Fields::operator()(std::string_view name, std::optional<double>& value, const Range& allowed) {
  optional_number(*this, name, value, allowed);
}

void Fields::seed(std::string_view name, std::optional<std::uint64_t>& value) {
  if (listing()) return list(name, "");
  std::string stream = value ? "own" : "default";
  (*this)("random", stream, {"own", "default"});
  if (loading()) value = stream == "own" ? std::optional<std::uint64_t>(0) : std::nullopt;
}

}  // namespace vg
