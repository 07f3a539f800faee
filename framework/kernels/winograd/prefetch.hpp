// Prefetches the inputs of the next block while the current one multiplies. Without it the transforms would be bound by
// memory latency, because rows are short and many. Prefetches are spread over the products, so that they never fill the
// queues. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

class Prefetch {
 public:
  /// Wide tiles prefetch into L1, because on Zen 4 only that loads lines from memory in time for their long stages.
  /// Other tiles prefetch into L2.
  explicit Prefetch(const Points& points) : to_l1_(points.has_wide_tiles()) {}

  /// Adds the rows of g in some planes (a bit mask): the elements that its tiles read, where consecutive tiles are
  /// `step` elements apart.
  template <class T>
  void add(const InputTransformArgs<T>& g, std::int64_t step, unsigned planes) {
    const std::int64_t end = std::min(g.depth, g.first + step * g.tiles + 2);
    for (unsigned plane = 0; plane < 6; ++plane)
      if ((planes >> plane & 1U) != 0)
        for (const T* row : g.rows[plane]) add_row(g, row, end);
  }
  /// Adds the inputs of all runs of a block.
  template <class T>
  void add_inputs(const Tiling& tiling, const Tiling::Block& block, const Points::PrefetchPlan& plan,
                  const ConcatView<const T>& x) {
    if (plan.planes == 0) return;
    for_each_source(x, [&](const T* data, std::int64_t channels, std::int64_t) {
      for (std::int64_t run = block.run_begin; run < block.run_end; ++run)
        add(tiling.input(block, run, plan.slice, data, channels), tiling.points().step(2), plan.planes);
    });
  }
  /// What remains of the first `part` of `parts` equal pieces. run() prefetches it at once; take() hands it to the
  /// kernel that multiplies.
  class Share {
   public:
    Share(Prefetch& all, int part, int parts)
        : all_(all), end_(all.rows_.size() * static_cast<std::size_t>(part) / static_cast<std::size_t>(parts)) {}
    void run() const {
      if (all_.to_l1_)
        all_.prefetch<3>(end_);
      else
        all_.prefetch<2>(end_);
    }
    template <class Args>
    void take(Args& args) const {
      args.prefetch = all_.rows_.data() + all_.next_;
      args.prefetch_end = all_.rows_.data() + end_;
      args.prefetch_lines = 0;
      for (; all_.next_ < end_; ++all_.next_) {
        const PrefetchRange& row = all_.rows_[all_.next_];
        args.prefetch_lines += (row.end - row.begin + 63) / 64;
      }
    }

   private:
    Prefetch& all_;
    std::size_t end_;
  };
  Share share(int part, int parts) { return Share(*this, part, parts); }
  void clear() {
    rows_.clear();
    next_ = 0;
  }

 private:
  /// The locality is a template parameter: from one loop for both, clang 14 makes a prefetch whose locality is not
  /// constant, and crashes.
  template <int Locality>
  void prefetch(std::size_t end) {
    for (; next_ < end; ++next_)
      for (const char* p = rows_[next_].begin; p < rows_[next_].end; p += 64) __builtin_prefetch(p, 0, Locality);
  }
  template <class T>
  void add_row(const InputTransformArgs<T>& g, const T* row, std::int64_t end) {
    if (row == nullptr) return;
    const std::int64_t first = std::max<std::int64_t>(0, g.first);
    const char* const begin = reinterpret_cast<const char*>(row + first * g.stride);
    // adjacent runs share rows
    for (std::size_t i = rows_.size(); i > 0 && rows_.size() - i < 8; --i)
      if (rows_[i - 1].begin == begin) return;
    rows_.push_back({begin, reinterpret_cast<const char*>(row + (end - 1) * g.stride + g.channels)});
  }
  bool to_l1_;
  std::vector<PrefetchRange> rows_;
  std::size_t next_ = 0;
};

}  // namespace vg::kernels::winograd
