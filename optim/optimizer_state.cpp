// What an optimizer saves itself as, and what must hold before it takes that over.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "framework/error.hpp"
#include "optim/optimizer.hpp"

namespace vg {

namespace {

Bundle bundle_of(const Description& d) {
  Bundle b;
  b.values.emplace_back("kind", d.kind);
  b.values.insert(b.values.end(), d.options.begin(), d.options.end());
  for (const auto& [name, child] : d.children) b.parts.emplace_back(name, bundle_of(child));
  return b;
}

template <class T>
const T* find(const std::vector<std::pair<std::string, T>>& entries, std::string_view name) {
  const auto it = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == name; });
  return it == entries.end() ? nullptr : &it->second;
}

// A file may not tell 1 from 1.0, nor one empty list from another: numbers are compared as numbers.
std::optional<std::vector<double>> numbers(const Value& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return {{static_cast<double>(*i)}};
  if (const auto* d = std::get_if<double>(&value)) return {{*d}};
  if (const auto* is = std::get_if<std::vector<std::int64_t>>(&value))
    return std::vector<double>(is->begin(), is->end());
  if (const auto* ds = std::get_if<std::vector<double>>(&value)) return *ds;
  if (const auto* ss = std::get_if<std::vector<std::string>>(&value); ss && ss->empty()) return std::vector<double>{};
  return {};
}

bool equal(const Value& a, const Value& b) {
  const auto x = numbers(a), y = numbers(b);
  return x && y ? *x == *y : a == b;
}

std::string text(const Value& value) {
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const auto* s = std::get_if<std::string>(&value)) return fmt::format("\"{}\"", *s);
  if (const auto* i = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *i);
  if (const auto* d = std::get_if<double>(&value)) return fmt::format("{}", *d);
  if (const auto n = numbers(value)) return fmt::format("[{}]", fmt::join(*n, ", "));
  return fmt::format("[\"{}\"]", fmt::join(std::get<std::vector<std::string>>(value), "\", \""));
}

void compare_settings(const std::string& where, const Bundle& saved, const Bundle& here,
                      std::vector<std::string>& out) {
  // Two schedules of different kinds have no options to compare.
  const Value *saved_kind = find(saved.values, "kind"), *kind = find(here.values, "kind");
  if (saved_kind && kind && !equal(*saved_kind, *kind)) {
    out.push_back(fmt::format("{}kind: {} in the state; here it is {}", where, text(*saved_kind), text(*kind)));
    return;
  }
  for (const auto& [name, value] : here.values) {
    const Value* other = find(saved.values, name);
    if (!other)
      out.push_back(fmt::format("{}{}: not in the state; here it is {}", where, name, text(value)));
    else if (!equal(*other, value))
      out.push_back(fmt::format("{}{}: {} in the state; here it is {}", where, name, text(*other), text(value)));
  }
  for (const auto& [name, value] : saved.values)
    if (!find(here.values, name))
      out.push_back(fmt::format("{}{}: {} in the state; here there is none", where, name, text(value)));
  for (const auto& [name, part] : here.parts) {
    const Bundle* other = find(saved.parts, name);
    if (!other)
      out.push_back(fmt::format("{}{}: not in the state", where, name));
    else
      compare_settings(where + name + ".", *other, part, out);
  }
  for (const auto& [name, part] : saved.parts)
    if (!find(here.parts, name)) out.push_back(fmt::format("{}{}: in the state; here there is none", where, name));
}

const std::int64_t* count(const Bundle& saved, std::string_view name) {
  const Value* value = find(saved.values, name);
  const auto* n = value ? std::get_if<std::int64_t>(value) : nullptr;
  return n && *n >= 0 ? n : nullptr;
}

}  // namespace

Bundle Optimizer::settings() const {
  Bundle s;
  s.values = own_settings();
  s.values.emplace_back("weight_decay", common_.weight_decay);
  if (common_.clip_norm) s.values.emplace_back("clip_norm", *common_.clip_norm);
  if (common_.clip_value) s.values.emplace_back("clip_value", *common_.clip_value);
  s.parts.emplace_back("lr", bundle_of(common_.lr.description()));
  for (std::size_t i = 0; i < common_.groups.size(); ++i) {
    const ParamGroup& g = common_.groups[i];
    Bundle b;
    b.values = {{"path", g.path}, {"leaf", g.leaf}, {"lr_scale", g.lr_scale}};
    if (g.weight_decay) b.values.emplace_back("weight_decay", *g.weight_decay);
    if (g.lr) b.parts.emplace_back("lr", bundle_of(g.lr->description()));
    s.parts.emplace_back(fmt::format("groups.{}", i), std::move(b));
  }
  return s;
}

Bundle Optimizer::save_state() const {
  Bundle state, all;
  const std::vector<std::string> names = moment_names();
  for (const Slot& slot : slots_) {
    Bundle leaf;
    leaf.values.emplace_back("updates", slot.updates);
    for (std::size_t m = 0; m < slot.moments.size(); ++m) leaf.tensors.emplace_back(names[m], slot.moments[m]);
    if (all.parts.empty() || all.parts.back().first != slot.path) all.parts.emplace_back(slot.path, Bundle{});
    all.parts.back().second.parts.emplace_back(slot.leaf, std::move(leaf));
  }
  state.values = {{"kind", kind_}, {"steps", steps_}};
  state.parts.emplace_back("settings", settings());
  state.parts.emplace_back("moments", std::move(all));
  return state;
}

std::vector<std::string> Optimizer::check_leaf(const Slot& slot, const Bundle& saved) const {
  std::vector<std::string> problems;
  const auto report = [&](const std::string& what) {
    problems.push_back(fmt::format("\"{}\", leaf \"{}\": {}", slot.path, slot.leaf, what));
  };
  const std::int64_t* updates = count(saved, "updates");
  if (!updates) report("the count \"updates\" is missing or not an integer of at least 0");
  const std::vector<std::string> names = updates && *updates == 0 ? std::vector<std::string>{} : moment_names();
  const Tensor& value = slot.state[slot.leaf].value();
  for (const std::string& name : names) {
    const Tensor* t = find(saved.tensors, name);
    if (!t || !t->defined())
      report(name + " is missing");
    else if (t->shape() != value.shape() || t->dtype() != value.dtype())
      report(fmt::format("{} is {} {}; must be {} {}", name, vg::name_of(t->dtype()), t->shape().str(),
                         vg::name_of(value.dtype()), value.shape().str()));
  }
  for (const auto& [name, tensor] : saved.tensors)
    if (std::find(names.begin(), names.end(), name) == names.end()) report(name + " is unexpected");
  return problems;
}

std::vector<std::string> Optimizer::check_state(const Bundle& state) const {
  std::vector<std::string> problems;
  const Value* kind = find(state.values, "kind");
  if (!kind || !equal(*kind, kind_))
    return {fmt::format("kind: {} in the state; this is \"{}\"", kind ? text(*kind) : "missing", kind_)};
  if (!count(state, "steps")) problems.push_back("steps: missing or not an integer of at least 0");
  const Bundle* saved_settings = find(state.parts, "settings");
  if (!saved_settings)
    problems.push_back("settings: missing");
  else if (!other_settings_)
    compare_settings("settings.", *saved_settings, settings(), problems);

  const Bundle* all = find(state.parts, "moments");
  if (!all) {
    problems.push_back("moments: missing");
    return problems;
  }
  for (const Slot& slot : slots_) {
    const Bundle* path = find(all->parts, slot.path);
    const Bundle* leaf = path ? find(path->parts, slot.leaf) : nullptr;
    if (!leaf)
      problems.push_back(fmt::format("\"{}\", leaf \"{}\": missing", slot.path, slot.leaf));
    else
      for (std::string& line : check_leaf(slot, *leaf)) problems.push_back(std::move(line));
  }
  std::set<std::pair<std::string, std::string>> here;
  for (const Slot& slot : slots_) here.emplace(slot.path, slot.leaf);
  for (const auto& [path, leaves] : all->parts)
    for (const auto& [leaf, saved] : leaves.parts)
      if (!here.contains({path, leaf})) problems.push_back(fmt::format("\"{}\", leaf \"{}\": unexpected", path, leaf));
  return problems;
}

void Optimizer::load_state(const Bundle& state) {
  if (const auto problems = check_state(state); !problems.empty())
    throw IoError(fmt::format("[{}] load_state: {}", kind_, fmt::join(problems, "; ")));
  const Bundle& all = state.part("moments");
  const std::vector<std::string> names = moment_names();
  for (Slot& slot : slots_) {
    const Bundle& leaf = all.part(slot.path).part(slot.leaf);
    slot.updates = leaf.get<std::int64_t>("updates");
    slot.moments.clear();
    if (slot.updates > 0)
      for (const std::string& name : names) slot.moments.push_back(leaf.tensor(name));
  }
  steps_ = state.get<std::int64_t>("steps");
}

}  // namespace vg
