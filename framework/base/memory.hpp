// The caching pool of all tensors and workspaces. Fresh pages cost more than a light layer, so the pool keeps freed
// blocks and reuses them. Large blocks are aligned to 2 MiB, and the kernel is advised to use huge pages for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vg::memory {

/// All values are in bytes, except the two counts.
struct Stats {
  std::int64_t in_use = 0;       ///< held by live tensors and workspaces now
  std::int64_t peak = 0;         ///< highest in_use since the start or reset_peak()
  std::int64_t cached = 0;       ///< free, kept for reuse
  std::int64_t reused = 0;       ///< allocations served from the cache (count)
  std::int64_t from_system = 0;  ///< allocations that went to the system (count)
};

Stats stats();
void reset_peak();
/// Gives the free blocks back to the system.
void release_cached();

struct Deleter {
  std::size_t bytes = 0;
  bool shared = false;  ///< allocated in a parallel region, whose other threads need the same
  void operator()(void* block) const noexcept;
};
/// A block of the pool, returned to it on destruction.
using Block = std::unique_ptr<void, Deleter>;

/// A 64-byte-aligned, uninitialised block of at least `bytes` (0 gives a valid block too). Throws MemoryError.
/// Under AddressSanitizer the bytes past `bytes` and freed blocks are poisoned.
Block allocate(std::size_t bytes);
/// The same for a workspace, which must be freed by the thread that allocated it. When one thread of a parallel region
/// allocates a workspace, the pool prepares one for each of the others. The number of blocks then does not depend on
/// how threads happen to overlap, and no later step needs memory from the system.
Block allocate_workspace(std::size_t bytes);

/// Scratch memory of n elements, freed at the end of its scope.
template <class T>
class Scratch {
 public:
  explicit Scratch(std::int64_t n) : block_(allocate_workspace(static_cast<std::size_t>(n) * sizeof(T))) {}
  T* data() { return static_cast<T*>(block_.get()); }

 private:
  Block block_;
};

}  // namespace vg::memory
