// Adding up partial sums: copies of a result, each the sum over a part of the volume. Internal to framework/kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// The most partial sums, up to so many, that two and four threads have equal shares of.
inline std::int64_t equal_shares(std::int64_t partials) {
  return partials > 4 ? partials - partials % 4 : partials > 2 ? partials - partials % 2 : partials;
}

/// Neighbouring partial sums, a quarter of all at a time, are most likely one thread's (framework/base/threads.hpp): it adds
/// them up itself, and no more than the quarters' sums go from one core's cache to another's.
class PartialSums {
 public:
  explicit PartialSums(std::int64_t partials) : partials_(partials), count_(std::min<std::int64_t>(partials, 4)) {}
  std::int64_t count() const { return count_; }
  /// The partial sum that holds group g's sum.
  std::int64_t begin(std::int64_t g) const { return partials_ * g / count_; }

  /// The partial sums, `size` numbers each, one after the other.
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
