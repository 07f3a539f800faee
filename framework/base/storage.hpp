// Storage: the memory of a Tensor, and what depends on its content. A lazy value that will read the memory is computed
// before the memory is written to, and a graph that has saved the memory finds out whether its content has changed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "voxgrad/framework/base/memory.hpp"

namespace vg {

class Storage {
 public:
  /// What will read the memory later.
  class Reader {
   public:
    virtual ~Reader() = default;
    virtual void read_now() = 0;
  };

  /// Uninitialised. Throws std::bad_alloc when there is no memory.
  explicit Storage(std::int64_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return block_.get(); }
  /// The memory for writing: each Reader has read it before this returns, and the content that a graph saved is
  /// remembered by its checksum. A pointer to the memory counts as given out from here on.
  void* writable() {
    if (!given_out_.load(std::memory_order_relaxed)) given_out_.store(true, std::memory_order_relaxed);
    prepare_write();
    return data();
  }
  /// The part of writable() that comes before each write through a pointer which was given out earlier.
  void prepare_write() {
    if (saved_.load(std::memory_order_relaxed) || has_readers_.load(std::memory_order_relaxed)) before_write();
  }

  /// Whether a pointer for writing was given out, and not declared dropped since.
  bool given_out() const { return given_out_.load(std::memory_order_relaxed); }
  /// Declares that nobody keeps such a pointer.
  void pointers_dropped() { given_out_.store(false, std::memory_order_relaxed); }

  /// Declares that its owner lets nobody write to the memory while something else depends on it (State::writable).
  void set_guarded() { guarded_.store(true, std::memory_order_relaxed); }
  bool guarded() const { return guarded_.load(std::memory_order_relaxed); }

  void add_reader(std::weak_ptr<Reader> reader);
  /// Tells that a graph may read the present content later. Returns the content's version.
  std::uint32_t save() {
    if (!saved_.load(std::memory_order_relaxed)) saved_.store(true, std::memory_order_relaxed);
    return version_.load(std::memory_order_relaxed);
  }
  /// Whether somebody had writable memory after a graph had saved the content, ever.
  bool has_versions() const { return version_.load(std::memory_order_relaxed) != 0; }
  /// Whether the content differs from that of the version: exact where nobody had writable memory since, else by
  /// checksum.
  bool changed_since(std::uint32_t version) const;
  /// Declares that no graph and no Reader depends on the content.
  void forget() {
    saved_.store(false, std::memory_order_relaxed);
    has_readers_.store(false, std::memory_order_relaxed);
  }

 private:
  struct Watch;  // made when it is needed: most tensors are written to once
  Watch& watch();
  void before_write();
  std::uint32_t checksum() const;

  memory::Block block_;
  std::int64_t bytes_;
  std::atomic<std::uint32_t> version_{0};
  std::atomic<bool> saved_{false};  // a graph depends on the content of the present version
  std::atomic<bool> has_readers_{false};
  std::atomic<bool> given_out_{false};
  std::atomic<bool> guarded_{false};
  std::atomic<Watch*> watch_{nullptr};
};

}  // namespace vg
