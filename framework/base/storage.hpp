// Storage: the memory of a Tensor, and the objects that depend on its content. A lazy value that will read the memory
// is computed before the memory is written to. A graph that has saved the memory can check whether its content has
// changed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "voxgrad/framework/base/memory.hpp"

namespace vg {

class Storage {
 public:
  /// An object that will read the memory later.
  class Reader {
   public:
    virtual ~Reader() = default;
    virtual void read_now() = 0;
  };

  /// Uninitialised memory. Throws MemoryError when there is none.
  explicit Storage(std::int64_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return block_.get(); }
  /// The memory for writing. Before this returns, each Reader reads the memory, and the checksum of a content that a
  /// graph saved is stored. From here on, given_out() is true.
  void* writable() {
    if (!given_out_.load(std::memory_order_relaxed)) given_out_.store(true, std::memory_order_relaxed);
    prepare_write();
    return data();
  }
  /// The checks of writable(). They must precede each write through a pointer that was returned earlier.
  void prepare_write() {
    if (saved_.load(std::memory_order_relaxed) || has_readers_.load(std::memory_order_relaxed)) before_write();
  }

  /// Whether writable() returned a pointer that has not been declared dropped since.
  bool given_out() const { return given_out_.load(std::memory_order_relaxed); }
  /// Declares that no code holds such a pointer any more.
  void pointers_dropped() { given_out_.store(false, std::memory_order_relaxed); }

  /// Declares that its owner prevents writes to the memory while other objects depend on it (State::writable).
  void set_guarded() { guarded_.store(true, std::memory_order_relaxed); }
  bool guarded() const { return guarded_.load(std::memory_order_relaxed); }

  void add_reader(std::weak_ptr<Reader> reader);
  /// Declares that a graph may read the present content later. Returns the content's version.
  std::uint32_t save() {
    if (!saved_.load(std::memory_order_relaxed)) saved_.store(true, std::memory_order_relaxed);
    return version_.load(std::memory_order_relaxed);
  }
  /// Whether writable memory has ever been given out after a graph had saved the content.
  bool has_versions() const { return version_.load(std::memory_order_relaxed) != 0; }
  /// Whether the content differs from that version. The answer is exact if no writable memory was given out since;
  /// otherwise it compares checksums.
  bool changed_since(std::uint32_t version) const;
  /// Declares that no graph and no Reader depends on the content.
  void forget() {
    saved_.store(false, std::memory_order_relaxed);
    has_readers_.store(false, std::memory_order_relaxed);
  }

 private:
  struct Watch;  // created on demand, because most tensors are written to once
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
