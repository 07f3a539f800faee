// Snapshot: the data that a checkpoint would write, kept apart from the run, so that another thread can write it while
// training goes on.
#pragma once

#include <filesystem>
#include <memory>

#include "voxgrad/framework/checkpoint/options.hpp"

namespace vg {

namespace checkpoint {
struct Document;
}

/// Checkpoint::snapshot() makes one in microseconds: its tensors are shared with the run, and code that changes one
/// copies it first (State::writable, optimizers). A Snapshot belongs to one thread at a time; it may be moved to
/// another.
class Snapshot {
 public:
  explicit Snapshot(checkpoint::Document document);
  ~Snapshot();
  Snapshot(Snapshot&&) noexcept;
  Snapshot& operator=(Snapshot&&) noexcept;

  /// Copies the tensors, so that none is shared any more. If the saving thread calls this while the next step computes
  /// its gradients, the optimizer need not copy them.
  void detach();
  /// Throws NonFiniteError if a model holds a NaN or an infinity; the message names the first state and leaf.
  void require_finite() const;
  /// Writes the file as Checkpoint::save does.
  void save(const std::filesystem::path& path, const SaveOptions& options = {}) const;

 private:
  std::unique_ptr<checkpoint::Document> document_;
};

}  // namespace vg
