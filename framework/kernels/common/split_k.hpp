// Adds split-K partial sums: copies of a result, each summed over a part of the volume. Internal to framework/kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// The most partial sums, at most `partials`, that two and four threads can share equally.
inline std::int64_t equal_shares(std::int64_t partials) {
  return partials > 4 ? partials - partials % 4 : partials > 2 ? partials - partials % 2 : partials;
}

/// Adds partial sums in up to four groups of neighbours. One thread most likely computed all of a group
/// (framework/base/threads.hpp) and adds them, so only the sums of the groups move from one core's cache to another's.
class PartialSums {
 public:
  explicit PartialSums(std::int64_t partials) : partials_(partials), count_(std::min<std::int64_t>(partials, 4)) {}
  std::int64_t count() const { return count_; }
  /// The index of the partial sum that holds the sum of group g after add.
  std::int64_t begin(std::int64_t g) const { return partials_ * g / count_; }

  /// Adds the partial sums of each group; they have `size` numbers each and follow each other at `partials`.
  template <class T>
  void add(T* partials, std::int64_t size, bool serial) const {
    if (count_ == partials_) return;
    parallel_for(
        count_,
        [&](std::int64_t g) {
          for (std::int64_t s = begin(g) + 1; s < begin(g + 1); ++s)
            current_table<T>().accumulate(size, partials + s * size, partials + begin(g) * size);
        },
        serial);
  }

 private:
  std::int64_t partials_, count_;
};

}  // namespace vg::kernels
