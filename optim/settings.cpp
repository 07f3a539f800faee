#include "voxgrad/optim/settings.hpp"

#include <fmt/format.h>

#include <optional>

namespace vg::detail {

StateDict bundle_of(const ModuleConfig& d) {
  StateDict b;
  b.values.emplace_back("kind", d.kind);
  b.values.insert(b.values.end(), d.options.begin(), d.options.end());
  for (const auto& [name, child] : d.children) b.parts.emplace_back(name, bundle_of(child));
  return b;
}

namespace {

// A file may not distinguish 1 from 1.0, or empty lists of different types, so numbers are compared as numbers.
std::optional<std::vector<double>> numbers(const Value& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return {{static_cast<double>(*i)}};
  if (const auto* d = std::get_if<double>(&value)) return {{*d}};
  if (const auto* is = std::get_if<std::vector<std::int64_t>>(&value))
    return std::vector<double>(is->begin(), is->end());
  if (const auto* ds = std::get_if<std::vector<double>>(&value)) return *ds;
  if (const auto* ss = std::get_if<std::vector<std::string>>(&value); ss && ss->empty()) return std::vector<double>{};
  return {};
}

}  // namespace

bool same_setting(const Value& a, const Value& b) {
  const auto x = numbers(a), y = numbers(b);
  return x && y ? *x == *y : a == b;
}

std::string text_of(const Value& value) {
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const auto* s = std::get_if<std::string>(&value)) return fmt::format("\"{}\"", *s);
  if (const auto* i = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *i);
  if (const auto* d = std::get_if<double>(&value)) return fmt::format("{}", *d);
  if (const auto n = numbers(value)) return fmt::format("[{}]", fmt::join(*n, ", "));
  return fmt::format("[\"{}\"]", fmt::join(std::get<std::vector<std::string>>(value), "\", \""));
}

void compare_settings(const std::string& where, const StateDict& saved, const StateDict& here,
                      std::vector<std::string>& out) {
  // The options of schedules of different kinds are not compared.
  const Value *saved_kind = find_entry(saved.values, "kind"), *kind = find_entry(here.values, "kind");
  if (saved_kind && kind && !same_setting(*saved_kind, *kind)) {
    out.push_back(fmt::format("{}kind: {} in the state; here it is {}", where, text_of(*saved_kind), text_of(*kind)));
    return;
  }
  for (const auto& [name, value] : here.values) {
    const Value* other = find_entry(saved.values, name);
    if (!other)
      out.push_back(fmt::format("{}{}: not in the state; here it is {}", where, name, text_of(value)));
    else if (!same_setting(*other, value))
      out.push_back(fmt::format("{}{}: {} in the state; here it is {}", where, name, text_of(*other), text_of(value)));
  }
  for (const auto& [name, value] : saved.values)
    if (!find_entry(here.values, name))
      out.push_back(fmt::format("{}{}: {} in the state; here there is none", where, name, text_of(value)));
  for (const auto& [name, part] : here.parts) {
    const StateDict* other = find_entry(saved.parts, name);
    if (!other)
      out.push_back(fmt::format("{}{}: not in the state", where, name));
    else
      compare_settings(where + name + ".", *other, part, out);
  }
  for (const auto& [name, part] : saved.parts)
    if (!find_entry(here.parts, name))
      out.push_back(fmt::format("{}{}: in the state; here there is none", where, name));
}

const std::int64_t* count_in(const StateDict& saved, std::string_view name) {
  const Value* value = find_entry(saved.values, name);
  const auto* n = value ? std::get_if<std::int64_t>(value) : nullptr;
  return n && *n >= 0 ? n : nullptr;
}

const double* number_in(const StateDict& saved, std::string_view name) {
  const Value* value = find_entry(saved.values, name);
  return value ? std::get_if<double>(value) : nullptr;
}

}  // namespace vg::detail
