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
  /// All planes that a bit mask can have.
  static constexpr unsigned all_planes = 0b111111;

  /// Wide tiles prefetch into L1, because on Zen 4 only that loads lines from memory in time for their long stages.
  /// Other tiles prefetch into L2.
  explicit Prefetch(const Tiling& tiling) : tiling_(tiling), to_l1_(tiling.scheme().has_wide_tiles()) {}

  /// Adds the rows of g in some planes (a bit mask): the elements that its tiles read, where consecutive tiles are
  /// `step` elements apart.
  template <class T>
  void add(const InputTransformArgs<T>& g, std::int64_t step, unsigned planes) {
    const std::int64_t end = std::min(g.depth, g.first + step * g.tiles + 2);
    for (unsigned plane = 0; plane < 6; ++plane)
      if ((planes >> plane & 1U) != 0)
        for (const T* row : g.rows[plane]) add_row(g, row, end);
  }
  /// Adds the inputs of all runs of a block in some planes of one slice.
  template <class T>
  void add_inputs(const Tiling::Block& block, int slice, unsigned planes, const ConcatView<const T>& x) {
    if (planes == 0) return;
    for_each_source(x, [&](const T* data, std::int64_t channels, std::int64_t) {
      for (std::int64_t run = block.run_begin; run < block.run_end; ++run)
        add(tiling_.input(block, run, slice, data, channels), tiling_.scheme().step[2], planes);
    });
  }
  /// Adds the inputs to prefetch during the products of the stage that begins with `slice`. For f2 and long tiles
  /// slices 0 and 2 prefetch slices 1 and 3 of the next block, which contain all planes that it does not share with
  /// this block. The stages of wide tiles are long: each prefetches the planes of the next stage that it does not read
  /// itself, in this block or at its last stage in the next one. With stride 2 all inputs of the next block are
  /// prefetched.
  template <class T>
  void add_stage(const Tiling::Block& block, const Tiling::Block* next, int slice, const ConcatView<const T>& x) {
    const Scheme& scheme = tiling_.scheme();
    if (scheme.has_wide_tiles() && !tiling_.is_last(block, slice))
      return slice == 0 ? add_inputs(block, 3, 0b100001, x) : add_inputs(block, 6, 0b01100, x);
    if (next == nullptr) return;
    if (scheme.has_wide_tiles())
      add_inputs(*next, 0, scheme.stage_slices == scheme.slices() ? 0b111100 : 0b011110, x);
    else if (scheme.strided)
      add_inputs(*next, 0, all_planes, x);
    else
      add_inputs(*next, std::min(slice + 1, scheme.slices() - 1), slice % 2 == 0 ? 0b11 : 0, x);
  }

  /// Prefetches what remains of the first `part` of `parts` equal pieces.
  void run(int part, int parts) {
    if (to_l1_)
      prefetch<3>(end_of(part, parts));
    else
      prefetch<2>(end_of(part, parts));
  }
  /// Sets the rows that fused products (ProductArgs) prefetch: the same.
  template <class Args>
  void take(int part, int parts, Args& args) {
    const std::size_t end = end_of(part, parts);
    args.prefetch = rows_.data() + next_;
    args.prefetch_end = rows_.data() + end;
    args.prefetch_lines = 0;
    for (; next_ < end; ++next_) args.prefetch_lines += (rows_[next_].end - rows_[next_].begin + 63) / 64;
  }
  void clear() {
    rows_.clear();
    next_ = 0;
  }

 private:
  std::size_t end_of(int part, int parts) const {
    return rows_.size() * static_cast<std::size_t>(part) / static_cast<std::size_t>(parts);
  }
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
  const Tiling& tiling_;
  bool to_l1_;
  std::vector<PrefetchRange> rows_;
  std::size_t next_ = 0;
};

}  // namespace vg::kernels::winograd
