#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <map>

#include "cli/commands.hpp"
#include "cli/contents.hpp"

namespace command {

namespace {

/// Describes the bitwise differences of two tensors of equal dtype and shape; empty if there are none.
std::string difference(const vg::Tensor& a, const vg::Tensor& b) {
  if (a.numel() == 0) return "";
  const auto width = static_cast<std::size_t>(vg::size_of(a.dtype()));
  const auto* x = static_cast<const char*>(a.raw());
  const auto* y = static_cast<const char*>(b.raw());
  std::int64_t count = 0, first = -1, at = -1, unordered = 0;
  double largest = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const std::size_t offset = static_cast<std::size_t>(i) * width;
    if (std::memcmp(x + offset, y + offset, width) == 0) continue;
    ++count;
    if (first < 0) first = i;
    const double by = std::abs(a.value_at(i) - b.value_at(i));
    if (std::isnan(by)) ++unordered;
    if (by > largest) largest = by, at = i;
  }
  if (count == 0) return "";
  std::string text = fmt::format("{} of {} values differ", count, a.numel());
  if (at >= 0)
    text += fmt::format(", at most by {:.6g}: [{}] {} -> {}", largest, at, a.value_at(at), b.value_at(at));
  else
    text += fmt::format(", first [{}] {} -> {}", first, a.value_at(first), b.value_at(first));
  if (unordered > 0) text += fmt::format("; {} with a NaN", unordered);
  return text;
}

std::string difference(const std::string& a, const std::string& b) {
  return a == b ? "" : printable(a) + " -> " + printable(b);
}
std::string in_quotes(const std::string& text) { return printable(text); }
std::string in_quotes(const vg::Tensor& tensor) { return vg::form(tensor); }

std::string compare(const std::string& a, const std::string& b) { return difference(a, b); }
std::string compare(const vg::Tensor& a, const vg::Tensor& b) {
  if (vg::form(a) != vg::form(b)) return vg::form(a) + " -> " + vg::form(b);
  return difference(a, b);
}

/// Prints one line per difference between two lists of named things. A name may appear more than once (for a module's
/// kind and its state's); then the things of that name are compared in order.
template <class T>
int compare_all(const std::vector<std::pair<std::string, T>>& a, const std::vector<std::pair<std::string, T>>& b,
                std::ostream& out) {
  std::map<std::string, std::vector<const T*>> theirs;
  for (const auto& [name, thing] : b) theirs[name].push_back(&thing);
  std::map<std::string, std::size_t> seen;
  int count = 0;
  const auto line = [&](char sign, const std::string& name, const std::string& text) {
    out << fmt::format("{} {}: {}\n", sign, printable(name), text);
    ++count;
  };
  for (const auto& [name, thing] : a) {
    const std::size_t i = seen[name]++;
    if (i >= theirs[name].size())
      line('-', name, in_quotes(thing));
    else if (const std::string text = compare(thing, *theirs[name][i]); !text.empty())
      line('~', name, text);
  }
  std::map<std::string, std::size_t> passed;
  for (const auto& [name, thing] : b)
    if (passed[name]++ >= seen[name]) line('+', name, in_quotes(thing));
  return count;
}

}  // namespace

int diff(const fs::path& a, const fs::path& b, std::ostream& out) {
  const Contents mine = read_contents(a), theirs = read_contents(b);
  const int count = compare_all(mine.facts, theirs.facts, out) + compare_all(mine.tensors, theirs.tensors, out);
  if (count > 0)
    out << fmt::format("{} difference{}\n", count, count == 1 ? "" : "s");
  else
    out << fmt::format("equal: {}\n", mine.summary());
  return count > 0 ? 1 : 0;
}

}  // namespace command
