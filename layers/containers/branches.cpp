#include "voxgrad/layers/containers/branches.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

void BranchesOptions::fields(Fields& f) {
  f("join", join, {"add", "concat"});
  f("name", name);
}

Branches::Branches(BranchesOptions options) : LayerWith(std::move(options)) { start(); }

// The size of the joined output. The sizes of all branches must be known.
Size Branches::joined(const std::vector<std::shared_ptr<Module>>& branches) const {
  const bool concat = concatenates();
  Size all = branches.front()->out_size();
  for (std::size_t b = 1; b < branches.size(); ++b) {
    const Size& one = branches[b]->out_size();
    bool same = one.size() == all.size();
    for (std::size_t i = 0; same && i + (concat ? 1 : 0) < all.size(); ++i) {
      same = one[i] == all[i] || one[i] == dynamic || all[i] == dynamic;
      if (all[i] == dynamic) all[i] = one[i];
    }
    if (!same)
      throw ValueError(fmt::format("[{}] branch {}: gives {}; must fit the others' {}{}", where(), b, size_text(one),
                                   size_text(all), concat ? " except for the channels" : ""));
    if (concat) all.back() = one.back() == dynamic || all.back() == dynamic ? dynamic : all.back() + one.back();
  }
  return all;
}

void Branches::push_back(std::shared_ptr<Module> module) {
  if (!module) throw ValueError(fmt::format("[{}] push_back: got nullptr; must be a module", where()));
  auto all = branches_;
  all.push_back(std::move(module));
  const Size in = built() ? in_size() : all.back()->in_size();
  if (!in.empty()) {
    for (const auto& branch : all) branch->build(in);
    set_sizes(in, joined(all));
  }
  branches_ = std::move(all);
}

void Branches::require_some(const char* what) const {
  if (branches_.empty()) throw ValueError(fmt::format("[{}] {}: there are no modules", where(), what));
}

void Branches::build(const Size& in_size) {
  require_some("build");
  if (built()) return require_same(in_size);
  for (const auto& branch : branches_) branch->build(in_size);
  set_sizes(in_size, joined(branches_));
}

namespace {

// Whether two branches give the same shape. With concatenation the channels may differ.
bool fit(const Shape& a, const Shape& b, bool concat) {
  const std::size_t same = concat && a.rank() > 0 ? a.size() - 1 : a.size();
  return a.size() == b.size() && std::equal(a.begin(), a.begin() + same, b.begin());
}

// Advice for volumes that differ only by one voxel along some axes, which happens if an odd extent was halved and
// doubled.
std::string odd_extent_hint(const Shape& a, const Shape& b, bool concat) {
  if (a.size() != b.size() || a.rank() < 4 || a.rank() > 5) return "";
  const std::size_t first = a.size() - 4, channels = a.size() - 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool spatial = i >= first && i < channels, free = concat && i == channels;
    if (!free && std::abs(a[i] - b[i]) > (spatial ? 1 : 0)) return "";
  }
  return ": an odd extent was halved on the way down: use extents that are multiples of 2^levels for a U-Net of that "
         "many levels, or pad the input with vg::pad and crop the output";
}

}  // namespace

Variable Branches::update(Variable x) {
  require_some("update");
  const bool concatenated = concatenates();
  std::vector<Variable> parts;
  for (const auto& branch : branches_) parts.push_back((*branch)(x));
  for (std::size_t b = 1; b < parts.size(); ++b)
    if (const Shape& one = parts[b].shape(), &first = parts[0].shape(); !fit(first, one, concatenated))
      throw ValueError(fmt::format("[{}] branch {}: gives {}; must be {} as the first{}{}", where(), b, one.str(),
                                   first.str(), concatenated ? ", except for the channels" : "",
                                   odd_extent_hint(first, one, concatenated)));
  if (concatenated) return concat(parts, -1);
  Variable y = parts[0];
  for (std::size_t b = 1; b < parts.size(); ++b) y = y + parts[b];
  return y;
}

}  // namespace vg
