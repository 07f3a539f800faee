#include "framework/snapshot.hpp"

#include <fmt/format.h>

#include "framework/checkpoint/document.hpp"
#include "framework/finite.hpp"

namespace vg {

namespace {

void copy(Bundle& bundle) {
  for (auto& [name, t] : bundle.tensors)
    if (t.defined()) t = t.clone();
  for (auto& [name, part] : bundle.parts) copy(part);
}

}  // namespace

Snapshot::Snapshot(checkpoint::Document document)
    : document_(std::make_unique<checkpoint::Document>(std::move(document))) {}
Snapshot::~Snapshot() = default;
Snapshot::Snapshot(Snapshot&&) noexcept = default;
Snapshot& Snapshot::operator=(Snapshot&&) noexcept = default;

void Snapshot::detach() {
  // In the order in which an optimizer asks whether a value is its own.
  if (document_->model)
    for (auto& [path, state] : document_->model->states)
      for (auto& [leaf, t] : state.leaves) t = t.clone();
  if (document_->optimizer) copy(*document_->optimizer);
  for (auto& [name, part] : document_->parts) copy(part);
}

void Snapshot::require_finite() const {
  if (!document_->model) return;
  for (const auto& [path, state] : document_->model->states)
    for (const auto& [leaf, t] : state.leaves)
      if (const auto at = find_non_finite(t))
        throw NonFiniteError(fmt::format("[checkpoint] save: the model's {}, leaf {}, holds {}", path, leaf,
                                         describe_non_finite(t, *at)));
}

void Snapshot::save(const std::filesystem::path& path, const SaveOptions& options) const {
  checkpoint::write(*document_, path, options);
}

}  // namespace vg
