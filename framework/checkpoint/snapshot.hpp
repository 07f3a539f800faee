// Snapshot: what a checkpoint would write, held apart from the run, so that another thread can write it while training
// goes on.
#pragma once

#include <filesystem>
#include <memory>

#include "voxgrad/framework/checkpoint/options.hpp"

namespace vg {

namespace checkpoint {
struct Document;
}

/// Made by Checkpoint::snapshot(), in microseconds: tensors are shared with the run, and whoever changes one copies it
/// first (State::writable, optimizers). A Snapshot belongs to one thread at a time; it may be moved to another.
class Snapshot {
 public:
  explicit Snapshot(checkpoint::Document document);
  ~Snapshot();
  Snapshot(Snapshot&&) noexcept;
  Snapshot& operator=(Snapshot&&) noexcept;

  /// Copies the tensors, so that none is shared any more: done on the saving thread while the next step computes its
  /// gradients, it spares the optimizer the copies.
  void detach();
  /// Throws NonFiniteError naming the first state and leaf of the model that hold a NaN or an infinity.
  void require_finite() const;
  /// As Checkpoint::save.
  void save(const std::filesystem::path& path, const SaveOptions& options = {}) const;

 private:
  std::unique_ptr<checkpoint::Document> document_;
};

}  // namespace vg
