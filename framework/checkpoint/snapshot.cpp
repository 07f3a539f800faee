#include "voxgrad/framework/checkpoint/snapshot.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/finite.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"

namespace vg {

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

}  // namespace vg
