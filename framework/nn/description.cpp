#include "voxgrad/framework/nn/description.hpp"

#include <algorithm>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

namespace {
template <class Entries>
auto* find(Entries& entries, std::string_view name) {
  auto it = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == name; });
  return it == entries.end() ? nullptr : &it->second;
}
[[noreturn]] void missing(std::string_view what, std::string_view name) {
  throw IoError("[state] " + std::string(what) + " \"" + std::string(name) + "\" is missing or of another type");
}
}  // namespace

template <class T>
const T& StateDict::get(std::string_view name) const {
  const Value* v = find(values, name);
  if (v == nullptr || !std::holds_alternative<T>(*v)) missing("value", name);
  return std::get<T>(*v);
}
template const bool& StateDict::get<bool>(std::string_view) const;
template const std::int64_t& StateDict::get<std::int64_t>(std::string_view) const;
template const double& StateDict::get<double>(std::string_view) const;
template const std::string& StateDict::get<std::string>(std::string_view) const;
template const std::vector<std::int64_t>& StateDict::get<std::vector<std::int64_t>>(std::string_view) const;
template const std::vector<double>& StateDict::get<std::vector<double>>(std::string_view) const;
template const std::vector<std::string>& StateDict::get<std::vector<std::string>>(std::string_view) const;

const Tensor& StateDict::tensor(std::string_view name) const {
  const Tensor* t = find(tensors, name);
  if (t == nullptr) missing("tensor", name);
  return *t;
}
const StateDict& StateDict::part(std::string_view name) const {
  const StateDict* b = find(parts, name);
  if (b == nullptr) missing("part", name);
  return *b;
}
bool StateDict::has_value(std::string_view name) const { return find(values, name) != nullptr; }
bool StateDict::has_tensor(std::string_view name) const { return find(tensors, name) != nullptr; }

}  // namespace vg
