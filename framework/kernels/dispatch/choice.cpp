#include "voxgrad/framework/kernels/dispatch/choice.hpp"

#include <cstdlib>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg::kernels {

std::vector<std::string> Choice::names() const {
  std::vector<std::string> names;
  for (const Entry& e : entries_)
    if (e.can_run()) names.emplace_back(e.name);
  return names;
}

int Choice::best() const {
  int i = 0;
  while (!entries_[static_cast<std::size_t>(i)].can_run()) ++i;
  return i;
}

int Choice::forced() const {
  if (const int i = current_; i != undecided) return i;
  const char* const name = std::getenv(variable_);
  int expected = undecided;  // what was forced meanwhile stays
  current_.compare_exchange_strong(expected, find(variable_, name == nullptr ? "" : name));
  return current_;
}

int Choice::find(const char* where, std::string_view name) const {
  if (name.empty()) return none;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (name == entries_[i].name && entries_[i].can_run()) return static_cast<int>(i);
  throw ValueError(fmt::format("[{}] name: got '{}'; must be {}", where, name, fmt::join(names(), ", ")));
}

}  // namespace vg::kernels
