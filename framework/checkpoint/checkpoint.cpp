#include "voxgrad/framework/checkpoint/checkpoint.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/finite.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/restore.hpp"

namespace vg {

using checkpoint::Assignment;
using checkpoint::Document;
using checkpoint::match_model;
using checkpoint::match_part;
using checkpoint::Problems;
using checkpoint::SavedModel;

namespace {

// A module that does not override kind() has the kind "Module".
void require_kinds(const std::string& path, const ModuleConfig& d) {
  if (d.kind == "Module")
    throw ValueError(fmt::format(
        "[checkpoint] save: {} has no kind(), by which vg::load tells modules apart and vg::load_model makes "
        "them; add to it: std::string kind() const override {{ return \"MyNet\"; }}",
        path.empty() ? "the model" : "the module " + in_quotes(path)));
  for (const auto& [name, child] : d.children) require_kinds(path.empty() ? name : path + "." + name, child);
}

// Tensors are shared with the states, not copied.
SavedModel saved_model(const Module& model) {
  SavedModel saved{model.description(), {}};
  require_kinds("", saved.description);
  for (const auto& [path, state] : model.states()) {
    checkpoint::SavedState s{std::string(name_of(state.kind())), {}, {}};
    for (const std::string& leaf : state.leaves()) {
      s.leaves.emplace_back(leaf, state[leaf].value());
      if (state.frozen(leaf)) s.frozen.push_back(leaf);
    }
    saved.states.emplace_back(path, std::move(s));
  }
  return saved;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------------- Checkpoint

namespace {
template <class T>
void set_once(T*& place, T& thing, const char* name) {
  if (place != nullptr) throw ValueError(fmt::format("[checkpoint] {}: there already is one", name));
  place = &thing;
}

std::string part_name(const std::string& name) { return "part " + in_quotes(name); }
std::string model_name(const std::string& name) { return "model " + in_quotes(name); }
std::string optimizer_name(const std::string& name) { return "optimizer " + in_quotes(name); }

template <class T>
const T* find(const std::vector<std::pair<std::string, T>>& named, const std::string& name) {
  for (const auto& [key, thing] : named)
    if (key == name) return &thing;
  return nullptr;
}

template <class T>
void add_once(std::vector<std::pair<std::string, T*>>& named, std::string name, T& thing, const std::string& shown) {
  if (find(named, name) != nullptr) throw ValueError(fmt::format("[checkpoint] {}: there already is one", shown));
  named.emplace_back(std::move(name), &thing);
}
}  // namespace

Checkpoint& Checkpoint::model(Module& m) {
  set_once(model_, m, "model");
  return *this;
}
Checkpoint& Checkpoint::model(std::string name, Module& m) {
  const std::string shown = model_name(name);
  return add_once(models_, std::move(name), m, shown), *this;
}
Checkpoint& Checkpoint::optimizer(std::string name, Stateful& o) {
  const std::string shown = optimizer_name(name);
  return add_once(optimizers_, std::move(name), o, shown), *this;
}
Checkpoint& Checkpoint::optimizer(Stateful& o) {
  set_once(optimizer_, o, "optimizer");
  return *this;
}
Checkpoint& Checkpoint::generator(random::Generator& g) {
  set_once(generator_, g, "generator");
  return *this;
}
Checkpoint& Checkpoint::part(std::string name, Stateful& p) {
  const std::string shown = part_name(name);
  return add_once(parts_, std::move(name), p, shown), *this;
}

void Checkpoint::throw_no_value(std::string_view name) {
  throw ValueError(fmt::format("[checkpoint] progress: there is no value {} of the requested type", in_quotes(name)));
}

void Checkpoint::save(const std::filesystem::path& path, const SaveOptions& options) const {
  snapshot().save(path, options);
}

Snapshot Checkpoint::snapshot() const {
  if (model_ == nullptr && models_.empty() && optimizer_ == nullptr && optimizers_.empty() && generator_ == nullptr &&
      parts_.empty())
    throw ValueError(
        "[checkpoint] save: there is nothing to save: the checkpoint was given no model, optimizer, generator or part");
  Document document;
  document.progress = progress;
  document.generator = (generator_ != nullptr ? *generator_ : random::default_generator()).key();
  if (model_ != nullptr) document.model = saved_model(*model_);
  for (const auto& [name, m] : models_) document.models.emplace_back(name, saved_model(*m));
  if (optimizer_ != nullptr) document.optimizer = optimizer_->save_state();
  for (const auto& [name, o] : optimizers_) document.optimizers.emplace_back(name, o->save_state());
  for (const auto& [name, p] : parts_) document.parts.emplace_back(name, p->save_state());
  return Snapshot(std::move(document));
}

LoadReport Checkpoint::load(const std::filesystem::path& path, const LoadOptions& options) {
  if (!options.model.empty())
    throw ValueError("[checkpoint] load: options: model is for vg::load; a Checkpoint takes all that it was given");
  Document file = checkpoint::read(path);
  Problems problems;
  LoadReport report;
  // Whether the file holds this part and the checkpoint was given it. If only one is true, that is a problem, or a line
  // of the report.
  const auto there = [&](bool saved, bool wanted, const std::string& name) {
    if (saved && !wanted && options.strict)
      problems.push_back(fmt::format("unexpected: the file holds {}, which this checkpoint was not given", name));
    if (!saved && wanted && options.strict) problems.push_back(fmt::format("missing: the file holds no {}", name));
    if (!options.strict && saved != wanted) (saved ? report.unexpected : report.missing).push_back(name);
    return saved && wanted;
  };
  std::vector<Assignment> assignments;
  std::vector<checkpoint::PartAssignment> fitting;
  const auto match = [&](const std::string& name, const StateDict& saved, Stateful& part) {
    Problems found;
    match_part(name, saved, part, found);
    if (found.empty()) {
      fitting.emplace_back(&saved, &part);
      report.loaded.push_back(name);
    }
    Problems& to = options.strict ? problems : report.mismatched;
    to.insert(to.end(), found.begin(), found.end());
  };
  // Calls both(name, saved, part) for each name that is in the file and in this checkpoint.
  const auto match_named = [&](const auto& saved, const auto& parts, const auto& name_of, const auto& both) {
    for (const auto& [name, p] : parts) {
      const auto* const one = find(saved, name);
      if (there(one != nullptr, true, name_of(name))) both(name_of(name), *one, *p);
    }
    for (const auto& [name, one] : saved) there(true, find(parts, name) != nullptr, name_of(name));
  };
  if (there(file.model.has_value(), model_ != nullptr, "model"))
    assignments = match_model(*file.model, *model_, options, report, problems);
  match_named(file.models, models_, model_name, [&](const std::string& name, const SavedModel& saved, Module& model) {
    LoadReport its;
    Problems found;
    const auto more = match_model(saved, model, options, its, found);
    assignments.insert(assignments.end(), more.begin(), more.end());
    const auto add = [&](std::vector<std::string>& to, const std::vector<std::string>& lines) {
      for (const std::string& line : lines) to.push_back(name + ": " + line);
    };
    add(problems, found);
    add(report.loaded, its.loaded);
    add(report.missing, its.missing);
    add(report.unexpected, its.unexpected);
    add(report.mismatched, its.mismatched);
  });
  if (there(file.optimizer.has_value(), optimizer_ != nullptr, "optimizer"))
    match("optimizer", *file.optimizer, *optimizer_);
  match_named(file.optimizers, optimizers_, optimizer_name, match);
  // The default generator is loaded if the file has one. A generator that was given must be in the file.
  const bool generator =
      generator_ == nullptr ? file.generator.has_value() : there(file.generator.has_value(), true, "generator");
  if (generator) report.loaded.emplace_back("generator");
  match_named(file.parts, parts_, part_name, match);
  checkpoint::restore(path, problems, assignments, fitting);
  if (generator) (generator_ != nullptr ? *generator_ : random::default_generator()).set_key(*file.generator);
  progress = std::move(file.progress);
  return report;
}

// ------------------------------------------------------------------------------------------------------------ Snapshot

namespace {

void copy(StateDict& bundle) {
  for (auto& [name, t] : bundle.tensors)
    if (t.defined()) t = t.clone();
  for (auto& [name, part] : bundle.parts) copy(part);
}

void copy(checkpoint::SavedModel& model) {
  for (auto& [path, state] : model.states)
    for (auto& [leaf, t] : state.leaves) t = t.clone();
}

// Checks only the models' states: values of an optimizer may overflow and recover.
void refuse_non_finite(const checkpoint::Document& document, bool infinities, const char* allowed_by) {
  const auto refuse = [&](const checkpoint::SavedModel& model, const std::string& whose) {
    for (const auto& [path, state] : model.states)
      for (const auto& [leaf, t] : state.leaves)
        if (const auto at = find_non_finite(t, infinities))
          throw NonFiniteError(fmt::format("[checkpoint] save: {}'s {}, leaf {}, holds {}; {} saves it all the same",
                                           whose, path, leaf, describe_non_finite(t, *at), allowed_by));
  };
  if (document.model) refuse(*document.model, "the model");
  for (const auto& [name, model] : document.models) refuse(model, "the model " + in_quotes(name));
}

}  // namespace

Snapshot::Snapshot(checkpoint::Document document)
    : document_(std::make_unique<checkpoint::Document>(std::move(document))) {}
Snapshot::~Snapshot() = default;
Snapshot::Snapshot(Snapshot&&) noexcept = default;
Snapshot& Snapshot::operator=(Snapshot&&) noexcept = default;

void Snapshot::detach() {
  // Use the order in which an optimizer checks whether its values are shared.
  if (document_->model) copy(*document_->model);
  for (auto& [name, model] : document_->models) copy(model);
  if (document_->optimizer) copy(*document_->optimizer);
  for (auto& [name, optimizer] : document_->optimizers) copy(optimizer);
  for (auto& [name, part] : document_->parts) copy(part);
}

void Snapshot::require_finite() const {
  refuse_non_finite(*document_, true, "vg::CheckpointManagerOptions{.require_finite = false}");
}

void Snapshot::save(const std::filesystem::path& path, const SaveOptions& options) const {
  if (!options.allow_nan) refuse_non_finite(*document_, false, "vg::SaveOptions{.allow_nan = true}");
  checkpoint::write(*document_, path, options);
}

void save(const Module& model, const std::filesystem::path& path, const SaveOptions& options) {
  Document document;
  document.model = saved_model(model);
  Snapshot(std::move(document)).save(path, options);
}

LoadReport load(Module& model, const std::filesystem::path& path, const LoadOptions& options) {
  const Document file = checkpoint::read(path);
  Problems problems;
  LoadReport report;
  std::vector<Assignment> assignments;
  if (const SavedModel* saved = checkpoint::find_model(file, options.model, problems))
    assignments = match_model(*saved, model, options, report, problems);
  checkpoint::restore(path, problems, assignments);
  return report;
}

std::string LoadReport::str() const {
  std::string text = fmt::format("{} loaded, {} missing, {} unexpected, {} mismatched", loaded.size(), missing.size(),
                                 unexpected.size(), mismatched.size());
  for (const auto& name : missing) text += "\n  missing: " + escaped(name);
  for (const auto& name : unexpected) text += "\n  unexpected: " + escaped(name);
  for (const auto& name : mismatched) text += "\n  mismatched: " + escaped(name);
  return text;
}

}  // namespace vg
