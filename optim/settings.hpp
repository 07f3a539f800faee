// Settings in a saved state: written from a description, and compared with the current ones. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/description.hpp"

namespace vg::detail {

/// The entry of that name, or null.
template <class T>
const T* find_entry(const std::vector<std::pair<std::string, T>>& entries, std::string_view name) {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == name; });
  return it == entries.end() ? nullptr : &it->second;
}

/// The value of that name if it is an integer of at least 0, or null.
const std::int64_t* count_in(const StateDict& saved, std::string_view name);
/// The value of that name if it is a double, or null.
const double* number_in(const StateDict& saved, std::string_view name);

/// The value's text for messages: "SGD" or true.
std::string text_of(const Value& value);
/// Whether a file may hold the same text for both: numbers are compared as numbers.
bool same_setting(const Value& a, const Value& b);

/// The values kind and the options; parts: the children.
StateDict bundle_of(const ModuleConfig& d);
/// Adds a line to `out` for each setting that differs; its name follows `where`.
void compare_settings(const std::string& where, const StateDict& saved, const StateDict& here,
                      std::vector<std::string>& out);

}  // namespace vg::detail
