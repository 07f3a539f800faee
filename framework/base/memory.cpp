#include "voxgrad/framework/base/memory.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <new>
#include <vector>

#include "voxgrad/framework/base/out_of_memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define VG_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VG_ASAN 1
#endif
#endif
#ifdef VG_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace vg::memory {

namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

// Block sizes are rounded up to classes, 8 per octave, which waste at most 12.5 %. A tensor that is a little smaller
// than the last one therefore fits the same block.
std::size_t class_size(std::size_t bytes) {
  if (bytes <= 64) return 64;
  const std::size_t step = std::max<std::size_t>(64, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
}

// The index of a class size. Each octave, from 64 bytes to 2^62, has 16 indices.
constexpr std::size_t classes = (62 - 6) * 16 + 1;
std::size_t class_number(std::size_t size) {
  const int octave = std::max(6, static_cast<int>(std::bit_width(size - 1)) - 1);
  return static_cast<std::size_t>(octave - 6) * 16 + (size >> std::max(6, octave - 3)) - 1;
}

void poison([[maybe_unused]] void* p, [[maybe_unused]] std::size_t n) {
#ifdef VG_ASAN
  ASAN_POISON_MEMORY_REGION(p, n);
#endif
}
void unpoison([[maybe_unused]] void* p, [[maybe_unused]] std::size_t n) {
#ifdef VG_ASAN
  ASAN_UNPOISON_MEMORY_REGION(p, n);
#endif
}

void* system_allocate(std::size_t size) {
  const bool large = size >= huge_page;
  const std::size_t alignment = large ? huge_page : 64;
  void* p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (p != nullptr && large) madvise(p, size, MADV_HUGEPAGE);  // advice only: a refusal changes nothing
  return p;
}

struct HeldBlocks {
  std::size_t size;
  std::int64_t count;
};

// The number of blocks of a class that this thread holds as workspaces of a parallel region. An array without a
// destructor: glibc ends the process if it has no memory to register a thread's destructor. A thread never holds blocks
// of as many classes at once as there are entries; if it did, the last entry would count several classes together, and
// a later region might keep a block too few.
std::int64_t& held(std::size_t size) {
  constinit thread_local HeldBlocks entries[64] = {};
  HeldBlocks* unused = nullptr;
  for (HeldBlocks& e : entries) {
    if (e.size == size) return e.count;
    if (e.count == 0 && unused == nullptr) unused = &e;
  }
  if (unused == nullptr) unused = std::end(entries) - 1;
  unused->size = size;
  return unused->count;
}

class Pool {
 public:
  /// `team` is the number of threads that are each expected to take one more than this thread holds; 0 outside of
  /// parallel regions. Null when the system has no memory.
  void* take(std::size_t size, std::int64_t team) {
    void* p = nullptr;
    std::int64_t missing = 0;
    std::int64_t* const mine = team > 0 ? &held(size) : nullptr;
    {
      std::lock_guard lock(mutex_);
      Class& c = of(size);
      if (team > 0) missing = (c.in_use - c.shared) + team * (*mine + 1) - c.all;
      if (!c.free.empty()) {
        p = c.pick(team > 0 ? detail::team_place().index : nobody);
        stats_.cached -= static_cast<std::int64_t>(size);
        ++stats_.reused;
        count_use(c, size, mine);
      }
    }
    if (p == nullptr) {
      p = from_system(size);
      if (p == nullptr) return nullptr;
      --missing;
      std::lock_guard lock(mutex_);
      Class& c = of(size);
      ++c.all;
      ++stats_.from_system;
      count_use(c, size, mine);
    }
    for (; missing > 0; --missing) reserve(size);
    return p;
  }

  void give(void* p, std::size_t size, bool shared) noexcept {
    std::lock_guard lock(mutex_);
    Class& c = of(size);
    stats_.in_use -= static_cast<std::int64_t>(size);
    --c.in_use;
    if (shared) {
      --c.shared;
      --held(size);
    }
    try {
      c.free.push_back({p, shared ? detail::team_place().index : nobody});
      stats_.cached += static_cast<std::int64_t>(size);
    } catch (...) {  // no memory to record the block: return it to the system
      --c.all;
      unpoison(p, size);
      std::free(p);
    }
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

  void release() {
    std::lock_guard lock(mutex_);
    for (Class& c : classes_) {
      for (const Free& f : c.free) {
        unpoison(f.block, c.size);
        std::free(f.block);
      }
      c.all -= static_cast<std::int64_t>(c.free.size());
      c.free.clear();
    }
    stats_.cached = 0;
  }

  Stats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
  }

 private:
  /// A free block and the thread that last used it as a workspace. That thread gets it back, still in its core's cache.
  struct Free {
    void* block;
    int thread;
  };
  static constexpr int nobody = -1;  // a tensor's block, or a new one
  struct Class {
    std::vector<Free> free;
    std::size_t size = 0;              // set once there is a block
    std::int64_t all = 0, in_use = 0;  // all blocks; those in use
    std::int64_t shared = 0;           // blocks in use as workspaces of a parallel region

    /// The last block that was this thread's, if it is among the last 16, else the last one. `free` must not be empty.
    void* pick(int thread) {
      const auto last = free.rbegin(), end = last + std::min<std::ptrdiff_t>(std::ssize(free), 16);
      auto found = std::find_if(last, end, [&](const Free& f) { return f.thread == thread; });
      if (found == end) found = last;
      void* const block = found->block;
      free.erase(std::next(found).base());
      return block;
    }
  };

  Class& of(std::size_t size) {
    Class& c = classes_[class_number(size)];
    c.size = size;
    return c;
  }

  void* from_system(std::size_t size) {
    void* p = system_allocate(size);
    if (p != nullptr) return p;
    release();
    return system_allocate(size);
  }

  /// Adds one free block, if there is memory. A failure is ignored, because no caller needs the block yet.
  void reserve(std::size_t size) noexcept {
    void* p = system_allocate(size);
    if (p == nullptr) return;
    std::lock_guard lock(mutex_);
    Class& c = of(size);
    try {
      c.free.push_back({p, nobody});
    } catch (...) {
      return std::free(p);
    }
    poison(p, size);
    ++c.all;
    ++stats_.from_system;
    stats_.cached += static_cast<std::int64_t>(size);
  }

  /// `held_by_thread` is the thread's number of such workspaces; null for a tensor.
  void count_use(Class& c, std::size_t size, std::int64_t* held_by_thread) noexcept {
    ++c.in_use;
    if (held_by_thread != nullptr) {
      ++c.shared;
      ++*held_by_thread;
    }
    stats_.in_use += static_cast<std::int64_t>(size);
    stats_.peak = std::max(stats_.peak, stats_.in_use);
  }

  std::mutex mutex_;
  std::array<Class, classes> classes_;
  Stats stats_;
};

// The pool is never destroyed, because tensors with static storage may outlive any order of destruction. A fork() waits
// until no thread is within the pool, so that the child can use its copy.
Pool& pool() {
  static Pool* const p = [] {
    static Pool& made = *new Pool;
    if (pthread_atfork([] { made.lock(); }, [] { made.unlock(); }, [] { made.unlock(); }) != 0) throw std::bad_alloc();
    return &made;
  }();
  return *p;
}

}  // namespace

namespace {

Block take(std::size_t bytes, std::int64_t team) {
  const bool possible = bytes <= std::size_t{1} << 62;  // so that no sum of sizes overflows
  const std::size_t size = possible ? class_size(bytes) : 0;
  void* p = possible ? pool().take(size, team) : nullptr;
  if (p == nullptr) throw out_of_memory(team > 0 ? "a thread's workspace" : "a block of memory", bytes);
  unpoison(p, bytes);
  poison(static_cast<char*>(p) + bytes, size - bytes);
  return Block(p, Deleter{size, team > 0});
}

}  // namespace

Block allocate(std::size_t bytes) { return take(bytes, 0); }
Block allocate_workspace(std::size_t bytes) { return take(bytes, detail::team_place().size); }

void Deleter::operator()(void* block) const noexcept {
  poison(block, bytes);
  pool().give(block, bytes, shared);
}

Stats stats() { return pool().stats(); }
void reset_peak() { pool().reset_peak(); }
void release_cached() { pool().release(); }

}  // namespace vg::memory
