#include "framework/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

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

// Blocks come in classes of at most 12.5 % waste (8 steps an octave), so that a tensor a little smaller than the last
// one fits the same block; large ones are whole multiples of 2 MiB / 8 steps likewise.
std::size_t class_size(std::size_t bytes) {
  if (bytes <= 64) return 64;
  if (bytes > (std::size_t{1} << 62)) throw std::bad_alloc();
  const std::size_t step = std::max<std::size_t>(64, std::bit_floor(bytes - 1) / 8);
  return (bytes + step - 1) / step * step;
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

class Pool {
 public:
  void* take(std::size_t size) {
    {
      std::lock_guard lock(mutex_);
      auto it = free_.find(size);
      if (it != free_.end() && !it->second.empty()) {
        void* p = it->second.back();
        it->second.pop_back();
        stats_.cached -= static_cast<std::int64_t>(size);
        ++stats_.reused;
        count_use(size);
        return p;
      }
    }
    void* p = system_allocate(size);
    if (p == nullptr) {
      release();
      p = system_allocate(size);
      if (p == nullptr) throw std::bad_alloc();
    }
    std::lock_guard lock(mutex_);
    ++stats_.from_system;
    count_use(size);
    return p;
  }

  void give(void* p, std::size_t size) noexcept {
    try {
      std::lock_guard lock(mutex_);
      stats_.in_use -= static_cast<std::int64_t>(size);
      free_[size].push_back(p);
      stats_.cached += static_cast<std::int64_t>(size);
    } catch (...) {  // no memory to remember the block by: hand it back
      std::free(p);
    }
  }

  void release() {
    std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : free_)
      for (void* p : blocks) {
        unpoison(p, size);
        std::free(p);
      }
    free_.clear();
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
  void count_use(std::size_t size) {
    stats_.in_use += static_cast<std::int64_t>(size);
    stats_.peak = std::max(stats_.peak, stats_.in_use);
  }

  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> free_;
  Stats stats_;
};

// Never destroyed: tensors with static storage may outlive any order of destruction.
Pool& pool() {
  static Pool* p = new Pool;
  return *p;
}

}  // namespace

Block allocate(std::size_t bytes) {
  const std::size_t size = class_size(bytes);
  void* p = pool().take(size);
  unpoison(p, bytes);
  poison(static_cast<char*>(p) + bytes, size - bytes);
  return Block(p, Deleter{size});
}

void Deleter::operator()(void* block) const noexcept {
  poison(block, bytes);
  pool().give(block, bytes);
}

Stats stats() { return pool().stats(); }
void reset_peak() { pool().reset_peak(); }
void release_cached() { pool().release(); }

}  // namespace vg::memory
