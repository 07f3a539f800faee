#include "voxgrad/optim/optimizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/clip.hpp"

namespace vg {

namespace {

bool fits(const ParamGroup& group, const std::string& path, const std::string& leaf) {
  return (group.leaf.empty() || group.leaf == leaf) && path_fits(path + "." + leaf, group.path);
}

std::string name_of_group(const ParamGroup& group) {
  return fmt::format("path \"{}\"{}", group.path, group.leaf.empty() ? "" : fmt::format(", leaf \"{}\"", group.leaf));
}

}  // namespace

void ParamGroup::fields(Fields& f) {
  f("path", path);
  f("leaf", leaf);
  f("lr_scale", lr_scale, finite_from_0);
  f("weight_decay", weight_decay, finite_from_0);
}

void field(Fields& f, std::string_view name, Schedule& lr) {
  if (f.listing()) f.list(name, fmt::format("{}", lr.at(0).lr));
}
void field(Fields& f, std::string_view name, std::vector<ParamGroup>&) {
  if (f.listing()) f.list(name, "");
}

Optimizer::Optimizer(std::string kind, const States& states, Common common)
    : kind_(std::move(kind)), common_(std::move(common)), modes_(states.modes()) {
  check_groups();
  add_slots(states);
  if (slots_.empty())
    throw ValueError(fmt::format("[{}] states: there is no floating parameter among {} states{}", kind_, states.size(),
                                 leafless_.empty()
                                     ? ""
                                     : ": the model's sizes are not known yet; give its first layer in_size, or call "
                                       "model.build(in_size), before the optimizer is made"));
  for (std::size_t g = 0; g < common_.groups.size(); ++g)
    if (std::none_of(slots_.begin(), slots_.end(),
                     [&](const Slot& s) { return fits(common_.groups[g], s.path, s.leaf); }))
      throw ValueError(fmt::format("[{}] groups: {} fits no parameter; the first one is \"{}\", leaf \"{}\"", kind_,
                                   name_of_group(common_.groups[g]), slots_[0].path, slots_[0].leaf));
}

void Optimizer::check_groups() const {
  std::set<std::pair<std::string, std::string>> seen;
  for (ParamGroup g : common_.groups) {
    if (g.path.empty() && g.leaf.empty())
      throw ValueError(fmt::format("[{}] groups: each needs a path or a leaf", kind_));
    if (!seen.emplace(g.path, g.leaf).second)
      throw ValueError(fmt::format("[{}] groups: {} is given twice", kind_, name_of_group(g)));
    check_fields(fmt::format("{} groups", kind_), g);
  }
}

void Optimizer::add_slots(const States& states) {
  std::set<std::string> paths;
  std::map<const void*, std::string> first_path;
  for (const auto& [path, state] : states) {
    if (state.kind() != StateKind::param)
      throw ValueError(fmt::format("[{}] states: \"{}\" is a {}; must be a ParamState (pass model.parameters())", kind_,
                                   path, name_of(state.kind())));
    if (!paths.insert(path).second)
      throw ValueError(fmt::format("[{}] states: the path \"{}\" is there twice", kind_, path));
    const auto [known, is_new] = first_path.emplace(state.identity(), path);
    if (state.size() == 0) leafless_.emplace_back(path, state);
    for (const std::string& leaf : state.leaves()) {
      if (!is_float(state[leaf].dtype())) continue;
      if (is_new) slots_.push_back({path, leaf, state, group_of(path, leaf)});
      slot_of_[{path, leaf}] = is_new ? slots_.size() - 1 : slot_of_.at({known->second, leaf});
    }
  }
}

int Optimizer::group_of(const std::string& path, const std::string& leaf) const {
  int best = -1;
  const auto rank = [](const ParamGroup& g) { return std::pair(g.path.size(), !g.leaf.empty()); };
  for (std::size_t g = 0; g < common_.groups.size(); ++g)
    if (fits(common_.groups[g], path, leaf) &&
        (best < 0 || rank(common_.groups[g]) > rank(common_.groups[static_cast<std::size_t>(best)])))
      best = static_cast<int>(g);
  return best;
}

Optimizer::Rates Optimizer::rates(int group) const {
  const ParamGroup* g = group < 0 ? nullptr : &common_.groups[static_cast<std::size_t>(group)];
  const ScheduleValue value = (g && g->lr ? *g->lr : common_.lr).at(steps_);
  require_in(finite_from_0, kind_, "lr (from the schedule)", value.lr);
  if (value.momentum) require_in(from_0_below_1, kind_, "momentum (from the schedule)", *value.momentum);
  return {value.lr * (g ? g->lr_scale : 1.0), g && g->weight_decay ? *g->weight_decay : common_.weight_decay,
          value.momentum};
}

double Optimizer::lr() const { return rates(-1).lr; }

double Optimizer::lr(std::string_view path, std::string_view leaf) const {
  const auto found = slot_of_.find(std::pair(std::string(path), std::string(leaf)));
  if (found == slot_of_.end())
    throw ValueError(fmt::format("[{}] lr: there is no parameter \"{}\", leaf \"{}\"", kind_, path, leaf));
  return rates(slots_[found->second].group).lr;
}

std::optional<double> Optimizer::scheduled_momentum() const { return rates(-1).momentum; }

bool Optimizer::momentum_is_scheduled() const {
  return common_.lr.gives_momentum() || std::any_of(common_.groups.begin(), common_.groups.end(),
                                                    [](const ParamGroup& g) { return g.lr && g.lr->gives_momentum(); });
}

void Optimizer::zero_grad() {
  for (Slot& slot : slots_) slot.state.zero_grad();
}

std::vector<Tensor> Optimizer::grads_of_slots() const {
  std::vector<Tensor> grads(slots_.size());
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (const Variable& g = slots_[i].state[slots_[i].leaf].grad(); g.defined() && !slots_[i].frozen())
      grads[i] = g.value();
  return grads;
}

void Optimizer::step() { apply(grads_of_slots()); }

void Optimizer::update(const StateGrads& given) {
  std::vector<Tensor> grads(slots_.size());
  for (const auto& entry : given.entries)
    for (const auto& [leaf, g] : entry.leaves) {
      const auto found = slot_of_.find(std::pair(entry.path, leaf));
      if (found == slot_of_.end())
        throw ValueError(
            fmt::format("[{}] update: there is no parameter \"{}\", leaf \"{}\"", kind_, entry.path, leaf));
      // A state with two paths has its whole gradient under each of them, so the first is enough.
      if (g.defined() && !grads[found->second].defined() && !slots_[found->second].frozen())
        grads[found->second] = g.value();
    }
  apply(grads);
}

void Optimizer::check_gradient(const Slot& slot, const Tensor& grad) const {
  const Tensor& value = slot.state[slot.leaf].value();
  const auto same_form = [&](const Tensor& t) { return t.shape() == value.shape() && t.dtype() == value.dtype(); };
  const auto refuse = [&](std::string_view what, const Tensor& t) {
    throw ValueError(
        fmt::format("[{}] {}: {} is {}; the parameter is {}", kind_, slot.name(), what, form(t), form(value)));
  };
  if (!same_form(grad)) refuse("the gradient", grad);
  for (const Tensor& m : slot.moments)
    if (!same_form(m)) refuse("the moment kept from earlier steps", m);
}

void Optimizer::require_trainable() {
  for (const auto& [path, state] : leafless_)
    if (state.size() != 0)
      throw ValueError(
          fmt::format("[{}] step: \"{}\" had no parameters when the optimizer was made and has {} now, which it does "
                      "not update; make the optimizer after the model is built (in_size given, or after "
                      "model.build(in_size))",
                      kind_, path, state.size()));
  std::string never;
  for (const States::ModeOf& m : modes_) {
    if (*m.trained) return modes_.clear();  // from now on the mode is the user's choice
    const bool stands_still =
        std::any_of(m.statistics.begin(), m.statistics.end(), [](const State& s) { return s.frozen(); });
    if (!stands_still && never.size() < 80)
      never += fmt::format("{}{} ({})", never.empty() ? "" : ", ", m.path.empty() ? "the model" : m.path, m.kind);
  }
  if (!never.empty())
    throw ValueError(fmt::format(
        "[{}] step: the model was never in training mode, in which it computes differently: {}; call model.train() "
        "before the steps (new modules are in evaluation mode). To train in evaluation mode, call model.train() and "
        "then model.eval(), or freeze the statistics",
        kind_, never));
}

void Optimizer::apply(const std::vector<Tensor>& grads, double scale) {
  require_trainable();
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (grads[i].defined()) check_gradient(slots_[i], grads[i]);
  std::vector<Rates> by_group;
  for (int g = -1; g < static_cast<int>(common_.groups.size()); ++g) by_group.push_back(rates(g));
  if (common_.clip_norm) scale *= detail::clip_factor(scale * detail::norm_of(grads), *common_.clip_norm);

  make_room(grads);  // everything that may run out of memory comes before the first change
  run_passes(grads, by_group, scale);
  ++steps_;
}

void Optimizer::make_room(const std::vector<Tensor>& grads) {
  const std::vector<SlotSpec> tensors = moments(), numbers = scalars();
  values_.resize(slots_.size());
  pass_.clear();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    pass_.add(grads[i].defined() ? grads[i].numel() : 0);
    Slot& slot = slots_[i];
    if (slot.frozen()) slot.forget();
    if (!grads[i].defined()) continue;
    const Tensor& value = *(values_[i] = &slot.state.writable(slot.leaf));
    while (slot.moments.size() < tensors.size())
      slot.moments.push_back(Tensor::full(value.shape(), tensors[slot.moments.size()].start, value.dtype()));
    while (slot.scalars.size() < numbers.size()) slot.scalars.push_back(numbers[slot.scalars.size()].start);
    for (Tensor& m : slot.moments) m.make_unique();  // a saved state may share it
  }
}

void Optimizer::run_passes(const std::vector<Tensor>& grads, const std::vector<Rates>& by_group, double scale) {
  const auto update = [&](std::size_t i) -> LeafUpdate {
    Slot& slot = slots_[i];
    const Rates& r = by_group[static_cast<std::size_t>(slot.group + 1)];
    return {*values_[i],    grads[i],
            slot.moments,   slot.scalars,
            slot.updates,   r.lr,
            r.weight_decay, r.momentum,
            scale,          common_.clip_value.value_or(std::numeric_limits<double>::infinity())};
  };
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!grads[i].defined()) continue;
    ++slots_[i].updates;
    pass_[i] = update_leaf(update(i));
  }
  pass_.run();
  bool again = false;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (grads[i].defined() && pass_[i].gives_sums()) {
      pass_[i] = finish_leaf(update(i), pass_.sums(i));
      again = true;
    }
  if (again) pass_.run();
}

}  // namespace vg
