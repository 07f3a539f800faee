// The saved state of an optimizer, and the checks before it is loaded.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/optimizer.hpp"
#include "voxgrad/optim/settings.hpp"

namespace vg {

using detail::bundle_of;
using detail::count_in;
using detail::find_entry;

StateDict Optimizer::settings() const {
  StateDict s;
  s.values = stored_options();
  s.parts.emplace_back("lr", bundle_of(common_.lr.description()));
  for (std::size_t i = 0; i < common_.groups.size(); ++i) {
    const ParamGroup& g = common_.groups[i];
    StateDict b;
    b.values = saved_fields(g);
    if (g.lr) b.parts.emplace_back("lr", bundle_of(g.lr->description()));
    s.parts.emplace_back(fmt::format("groups.{}", i), std::move(b));
  }
  return s;
}

std::vector<std::pair<std::string, Stateful*>> Optimizer::kept_schedules() const {
  std::vector<std::pair<std::string, Stateful*>> kept;
  if (Stateful* s = common_.lr.saveable()) kept.emplace_back("lr", s);
  for (std::size_t i = 0; i < common_.groups.size(); ++i)
    if (const auto& lr = common_.groups[i].lr)
      if (Stateful* s = lr->saveable()) kept.emplace_back(fmt::format("groups.{}.lr", i), s);
  return kept;
}

StateDict Optimizer::save_state() const {
  StateDict state, all, schedules;
  const std::vector<SlotSpec> tensors = moments(), numbers = scalars();
  for (const Slot& slot : slots_) {
    StateDict leaf;
    leaf.values.emplace_back("updates", slot.updates);
    const bool fresh = slot.updates == 0;  // everything still has its initial value
    for (std::size_t i = 0; !fresh && i < slot.scalars.size(); ++i)
      leaf.values.emplace_back(numbers[i].name, slot.scalars[i]);
    for (std::size_t m = 0; !fresh && m < slot.moments.size(); ++m)
      leaf.tensors.emplace_back(tensors[m].name, slot.moments[m]);
    if (all.parts.empty() || all.parts.back().first != slot.path) all.parts.emplace_back(slot.path, StateDict{});
    all.parts.back().second.parts.emplace_back(slot.leaf, std::move(leaf));
  }
  for (const auto& [name, schedule] : kept_schedules()) schedules.parts.emplace_back(name, schedule->save_state());
  state.values = {{"kind", kind_}, {"steps", steps_}};
  state.parts.emplace_back("settings", settings());
  if (!schedules.parts.empty()) state.parts.emplace_back("schedules", std::move(schedules));
  state.parts.emplace_back("moments", std::move(all));
  return state;
}

std::vector<std::string> Optimizer::check_leaf(const Slot& slot, const StateDict& saved) const {
  std::vector<std::string> problems;
  const auto report = [&](const std::string& what) {
    problems.push_back(fmt::format("\"{}\", leaf \"{}\": {}", slot.path, slot.leaf, what));
  };
  const std::int64_t* updates = count_in(saved, "updates");
  if (!updates) report("the count \"updates\" is missing or not an integer of at least 0");
  const bool fresh = updates && *updates == 0;  // nothing is saved for it yet
  const std::vector<SlotSpec> tensors = fresh ? std::vector<SlotSpec>{} : moments();
  const Tensor& value = slot.state[slot.leaf].value();
  for (const SlotSpec& kept : tensors) {
    const Tensor* t = find_entry(saved.tensors, kept.name);
    if (!t || !t->defined())
      report(kept.name + " is missing");
    else if (t->shape() != value.shape() || t->dtype() != value.dtype())
      report(fmt::format("{} is {}; must be {}", kept.name, form(*t), form(value)));
  }
  for (const auto& [name, tensor] : saved.tensors)
    if (std::none_of(tensors.begin(), tensors.end(), [&, &n = name](const SlotSpec& k) { return k.name == n; }))
      report(name + " is unexpected");
  for (const SlotSpec& kept : fresh ? std::vector<SlotSpec>{} : scalars())
    if (const double* number = detail::number_in(saved, kept.name); !number || !std::isfinite(*number))
      report(fmt::format("the number \"{}\" is missing or not finite", kept.name));
  return problems;
}

// If other settings are allowed, a schedule whose state does not fit keeps its own.
std::vector<std::string> Optimizer::check_schedules(const StateDict& state) const {
  std::vector<std::string> problems;
  if (other_settings_) return problems;
  const StateDict* saved = find_entry(state.parts, "schedules");
  for (const auto& [name, schedule] : kept_schedules()) {
    const StateDict* one = saved ? find_entry(saved->parts, name) : nullptr;
    if (!one)
      problems.push_back(fmt::format("schedules.{}: missing", name));
    else
      for (const std::string& line : schedule->check_state(*one))
        problems.push_back(fmt::format("schedules.{}: {}", name, line));
  }
  return problems;
}

namespace {
void check_settings(const StateDict& saved, const StateDict& here, std::vector<std::string>& problems) {
  const std::size_t before = problems.size();
  detail::compare_settings("settings.", saved, here, problems);
  if (problems.size() > before)
    problems.emplace_back("(to go on with the settings here: optimizer.allow_other_settings() before the load)");
}
}  // namespace

std::vector<std::string> Optimizer::check_state(const StateDict& state) const {
  std::vector<std::string> problems;
  const Value* kind = find_entry(state.values, "kind");
  if (!kind || !detail::same_setting(*kind, kind_))
    return {fmt::format("kind: {} in the state; this is \"{}\"", kind ? detail::text_of(*kind) : "missing", kind_)};
  if (!count_in(state, "steps")) problems.push_back("steps: missing or not an integer of at least 0");
  const StateDict* saved_settings = find_entry(state.parts, "settings");
  if (!saved_settings)
    problems.push_back("settings: missing");
  else if (!other_settings_)
    check_settings(*saved_settings, settings(), problems);
  if (problems.empty()) problems = check_schedules(state);  // different settings are already reported

  const StateDict* all = find_entry(state.parts, "moments");
  if (!all) {
    problems.push_back("moments: missing");
    return problems;
  }
  for (const Slot& slot : slots_) {
    const StateDict* path = find_entry(all->parts, slot.path);
    const StateDict* leaf = path ? find_entry(path->parts, slot.leaf) : nullptr;
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

void Optimizer::load_state(const StateDict& state) {
  if (const auto problems = check_state(state); !problems.empty())
    throw IoError(fmt::format("[{}] load_state: {}", kind_, fmt::join(problems, "; ")));
  const StateDict& all = state.part("moments");
  const std::vector<SlotSpec> tensors = moments(), numbers = scalars();
  for (Slot& slot : slots_) {
    const StateDict& leaf = all.part(slot.path).part(slot.leaf);
    slot.updates = leaf.get<std::int64_t>("updates");
    slot.moments.clear();
    slot.scalars.clear();
    if (slot.updates == 0) continue;
    for (const SlotSpec& kept : tensors) slot.moments.push_back(leaf.tensor(kept.name));
    for (const SlotSpec& kept : numbers) slot.scalars.push_back(leaf.get<double>(kept.name));
  }
  const StateDict* schedules = find_entry(state.parts, "schedules");
  for (const auto& [name, schedule] : kept_schedules())
    if (const StateDict* saved = schedules ? find_entry(schedules->parts, name) : nullptr)
      if (schedule->check_state(*saved).empty()) schedule->load_state(*saved);
  steps_ = state.get<std::int64_t>("steps");
}

}  // namespace vg
