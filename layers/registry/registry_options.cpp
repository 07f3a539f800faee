#include "voxgrad/layers/registry/registry_options.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg::registry {

namespace {
thread_local std::int64_t limit = std::numeric_limits<std::int64_t>::max();
thread_local std::int64_t taken = 0;  // counted against the limit; exceeds it by at most the allowance
// A model that is slightly larger than its file (another width, a shared state) is still made, so that the message can
// list the states that do not fit. The allowance is 1 MiB of f32.
constexpr std::int64_t allowance = std::int64_t{1} << 18;
}  // namespace

LimitGuard::LimitGuard(std::int64_t values)
    : limit_before_(std::exchange(limit, values)), taken_before_(std::exchange(taken, 0)) {}
LimitGuard::~LimitGuard() {
  limit = limit_before_;
  taken = taken_before_;
}

void check_limit(const std::string& kind, std::int64_t values) {
  if (std::max<std::int64_t>(0, values) - allowance <= limit - taken) return;
  const std::string before = taken == 0 ? "" : fmt::format(", {} others before them", taken);
  throw ValueError(
      fmt::format("[{}] parameters: the description needs {} values{}; the file holds {}{}", kind, values, before,
                  limit, taken == 0 ? "" : " (a state that layers share is saved once, and made for each of them)"));
}

void take_from_limit(const std::string& kind, std::int64_t values) {
  check_limit(kind, values);
  // Outside a LimitGuard nothing is counted.
  if (limit != std::numeric_limits<std::int64_t>::max()) taken += values;
}

const Value* Options::find(std::string_view name) const {
  for (const auto& [key, value] : description_.options)
    if (key == name) return &value;
  return nullptr;
}

template <class T>
const T& Options::get(std::string_view name, std::string_view type) const {
  const Value* value = find(name);
  if (value == nullptr || !std::holds_alternative<T>(*value))
    throw ValueError(fmt::format("[{}] {}: the description has {}; must be {}", description_.kind, name,
                                 value == nullptr ? "no such option" : "a value of another type", type));
  return std::get<T>(*value);
}

bool Options::flag(std::string_view name) const { return get<bool>(name, "true or false"); }
std::int64_t Options::integer(std::string_view name) const { return get<std::int64_t>(name, "an integer"); }
double Options::real(std::string_view name) const { return get<double>(name, "a real"); }
const std::string& Options::text(std::string_view name) const { return get<std::string>(name, "a string"); }
const std::vector<std::int64_t>& Options::integers(std::string_view name) const {
  return get<std::vector<std::int64_t>>(name, "a list of integers");
}

const std::vector<double>& Options::reals(std::string_view name) const {
  return get<std::vector<double>>(name, "a list of reals");
}

int Options::checked_axis(std::string_view name, std::int64_t axis) const {
  if (axis < -Shape::max_rank || axis >= Shape::max_rank)
    throw ValueError(fmt::format("[{}] {}: got {}; must be an axis", description_.kind, name, axis));
  return static_cast<int>(axis);
}

int Options::axis(std::string_view name) const { return checked_axis(name, integer(name)); }

std::vector<int> Options::axes(std::string_view name) const {
  std::vector<int> axes;
  for (const std::int64_t axis : integers(name)) axes.push_back(checked_axis(name, axis));
  return axes;
}

Padding Options::padding() const {
  if (const Value* value = find("padding"); value != nullptr && std::holds_alternative<std::string>(*value))
    return std::get<std::string>(*value);
  const auto& sides = integers("padding");
  if (sides.size() != 6)
    throw ValueError(fmt::format("[{}] padding: the description has {} numbers; must be \"SAME\", \"VALID\" or 6",
                                 description_.kind, sides.size()));
  return std::vector<Pads>{{sides[0], sides[1]}, {sides[2], sides[3]}, {sides[4], sides[5]}};
}

Compute Options::compute() const {
  if (!has("compute")) return Compute::automatic;
  for (const Compute c : {Compute::full, Compute::bf16})
    if (name_of(c) == text("compute")) return c;
  throw ValueError(fmt::format("[{}] compute: got \"{}\"; must be full or bf16", description_.kind, text("compute")));
}

Initializer Options::blank(std::string_view name) const {
  const std::string& called = text(name);
  if (called == "None") return {};
  const auto zeros = [kind = description_.kind](const Shape& shape) {
    take_from_limit(kind, shape.numel());
    return Tensor::zeros(shape);
  };
  return {zeros, called};
}

Initializer Options::mask() const {
  const std::string& called = text("w_mask");
  if (called == "None") return {};
  if (!has("w_mask_values"))
    throw ValueError(
        fmt::format("[{}] w_mask: the description has no \"w_mask_values\": the layer was saved before "
                    "masks were, or before it was built",
                    description_.kind));
  const auto& values = reals("w_mask_values");
  const Tensor mask = Tensor::of<double>(Shape(integers("w_mask_shape")), values);
  return {[mask](const Shape&) { return mask; }, called};
}

}  // namespace vg::registry
