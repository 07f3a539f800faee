// Adding up slabs: copies of a result, each the sum over a part of the volume. Internal to framework/kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// The most slabs, up to so many, that two and four threads have equal shares of.
inline std::int64_t equal_shares(std::int64_t slabs) {
  return slabs > 4 ? slabs - slabs % 4 : slabs > 2 ? slabs - slabs % 2 : slabs;
}

/// Neighbouring slabs, a quarter of all at a time, are most likely one thread's (framework/base/threads.hpp): it adds
/// them up itself, and no more than the quarters' sums go from one core's cache to another's.
class SlabGroups {
 public:
  explicit SlabGroups(std::int64_t slabs) : slabs_(slabs), count_(std::min<std::int64_t>(slabs, 4)) {}
  std::int64_t count() const { return count_; }
  /// The slab that holds group g's sum.
  std::int64_t begin(std::int64_t g) const { return slabs_ * g / count_; }

  /// The slabs, `size` numbers each, one after the other.
  template <class T>
  void add(T* slabs, std::int64_t size, bool serial) const {
    if (count_ == slabs_) return;
    parallel_for(
        count_,
        [&](std::int64_t g) {
          for (std::int64_t s = begin(g) + 1; s < begin(g + 1); ++s)
            current_table<T>().accumulate(size, slabs + s * size, slabs + begin(g) * size);
        },
        serial);
  }

 private:
  std::int64_t slabs_, count_;
};

}  // namespace vg::kernels
