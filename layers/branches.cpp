#include "layers/branches.hpp"

#include <fmt/format.h>

#include "framework/error.hpp"
#include "framework/ops/elementwise.hpp"
#include "framework/ops/shape_ops.hpp"

namespace vg {

Branches::Branches(BranchesOptions o) : Layer(std::move(o.name)), concat_(o.join == "concat") {
  if (!concat_ && o.join != "add")
    throw ValueError(fmt::format("[{}] join: got \"{}\"; must be \"add\" or \"concat\"", where(), o.join));
}

// The size of the whole; every branch's is known.
Size Branches::joined(const std::vector<std::shared_ptr<Module>>& branches) const {
  Size all = branches.front()->out_size();
  for (std::size_t b = 1; b < branches.size(); ++b) {
    const Size& one = branches[b]->out_size();
    bool same = one.size() == all.size();
    for (std::size_t i = 0; same && i + (concat_ ? 1 : 0) < all.size(); ++i) {
      same = one[i] == all[i] || one[i] == any || all[i] == any;
      if (all[i] == any) all[i] = one[i];
    }
    if (!same)
      throw ValueError(fmt::format("[{}] branch {}: gives {}; must fit the others' {}{}", where(), b, size_text(one),
                                   size_text(all), concat_ ? " but for the channels" : ""));
    if (concat_) all.back() = one.back() == any || all.back() == any ? any : all.back() + one.back();
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

Variable Branches::update(const Variable& x) {
  require_some("update");
  std::vector<Variable> parts;
  for (const auto& branch : branches_) parts.push_back((*branch)(x));
  for (std::size_t b = 1; !concat_ && b < parts.size(); ++b)
    if (parts[b].shape() != parts[0].shape())  // which the sum would broadcast
      throw ValueError(fmt::format("[{}] branch {}: gives {}; must be {} as the first", where(), b,
                                   parts[b].shape().str(), parts[0].shape().str()));
  if (concat_) return concat(parts, -1);
  Variable y = parts[0];
  for (std::size_t b = 1; b < parts.size(); ++b) y = y + parts[b];
  return y;
}

Values Branches::options() const { return {{"join", std::string(concat_ ? "concat" : "add")}, {"name", name()}}; }

}  // namespace vg
