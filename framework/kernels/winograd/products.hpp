// The products of a data pass: those of a block are divided into batches, each of which is one call, with prefetching
// between calls. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/winograd/layout.hpp"
#include "voxgrad/framework/kernels/winograd/prefetch.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

/// f(point, count, value) for the batches of the slices [slice, slice + slices): the points [point, point + count) of
/// y, whose products, or sums of them, begin at number `value` of the stage. `folded`: one batch per slice of wide
/// tiles. Otherwise a batch has at most `at_once` points. Returns the number of products or sums that are stored.
template <class F>
int each_batch(const Scheme& scheme, int slice, int slices, bool folded, int at_once, const F& f) {
  int value = 0;
  for (int s = slice; s < slice + slices; ++s) {
    const int before = scheme.before(s), count = scheme.y_points(s, 1), most = folded ? count : at_once;
    for (int point = 0; point < count; point += most) f(before + point, std::min(most, count - point), value + point);
    value += folded ? wide::sums_of(count) : count;
  }
  return value;
}

/// Multiplies the blocks of a data pass.
template <class T>
class BlockProducts {
 public:
  /// `lanes`: those of the vectors in which outputs are stored.
  BlockProducts(const Conv3dProblem& p, const Tiling& tiling, const TransformedLayout& in, const TransformedLayout& out,
                std::int64_t lanes, TransformedWeights<T>& u)
      : p_(p),
        scheme_(tiling.scheme()),
        in_(in),
        out_(out),
        u_(u),
        folded_(scheme_.has_wide_tiles() ? u.table().fold : nullptr),
        // a call costs some hundred cycles, so it has several points; the lines prefetched between two calls must be
        // few, so it does not have all
        at_once_(scheme_.strided
                     ? 1
                     : static_cast<int>(std::clamp<std::int64_t>(
                           1024 / std::max<std::int64_t>(1, tiling.most_tiles() * scheme_.all_subkernels() *
                                                                p.in_channels * ceil_div(p.out_channels, lanes)),
                           1, 16))) {
    if (!scheme_.strided) return;
    taps_.resize(static_cast<std::size_t>(scheme_.y_points(0, 1)));
    each_strided_product(scheme_, [&](int x, int w, int y) {
      taps_[static_cast<std::size_t>(y)].push_back({x * in.point_stride, p.in_channels, w * p.in_channels});
    });
  }
  /// The number of products or sums of a tile that are stored, in the stage with the most.
  int values() const {
    int most = 0;
    for (int slice = 0; slice < scheme_.slices(); slice += scheme_.stage_slices)
      most = std::max(most, each(slice, scheme_.stage_slices, [](int, int, int) {}));
    return most;
  }
  /// Whether the products of a point may replace its inputs: if a group has one vector of outputs, because its inputs
  /// are read before that is written.
  bool may_be_in_place() const {
    return u_.in_rows() && folded_ == nullptr && p_.in_channels == p_.out_channels &&
           p_.out_channels / p_.groups <= u_.table().lanes;
  }

  /// Writes the offsets of the tiles of a block, first in its inputs and then in its products, for multiply().
  void begin(const Tiling::Block& block, std::int64_t* offsets) const {
    if (u_.in_rows() || folded_ != nullptr) return;
    fill_offsets(offsets, block.runs(), block.depth_tiles, scheme_.halo(), in_.ld);
    fill_offsets(offsets + block.tiles(), 1, block.tiles(), 0, out_.ld);
  }
  /// Multiplies the inputs v of some slices of a stage.
  void multiply(const Tiling::Block& block, const std::int64_t* offsets, int slice, int slices, const T* v, T* m,
                Prefetch& prefetch) const {
    const int before = scheme_.before(slice), points = scheme_.y_points(slice, slices);
    // a convolution over the tiles, whose taps are subkernels or, with stride 2, the products of a point of y
    TapRun subkernels[most_subkernels];
    if (!u_.in_rows()) fill_subkernel_taps(subkernels, scheme_, block, p_.in_channels, in_.ld);
    IgemmArgs<T> a{.x = v,
                   .w = u_.point(0),
                   .y = m,
                   .taps = subkernels,
                   .tap_count = scheme_.all_subkernels(),
                   .x_indirection = offsets,
                   .y_indirection = offsets + block.tiles(),
                   .positions = block.tiles(),
                   .w_rows = u_.packed_rows(),
                   .co_end = p_.out_channels,
                   .batch = {1, in_.point_stride, u_.point_stride(), out_.point_stride}};
    each(slice, slices, [&](int point, int count, int value) {
      T* const to = m + value * out_.point_stride;
      const int first = point - before, done = first + count;
      const T* const from = scheme_.strided ? v : v + first * in_.point_stride;
      if (folded_ != nullptr) return fold(block, point, count, from, to, prefetch, done, points);
      prefetch.run(done, points);
      if (u_.in_rows()) return groups(block, point, count, from, to);
      a.y = to;
      a.batch.count = count;
      if (scheme_.strided) {
        const std::vector<TapRun>& taps = taps_[static_cast<std::size_t>(point)];
        a.taps = taps.data();
        a.tap_count = static_cast<std::int64_t>(taps.size());
      } else {
        a.x = from;
        a.w = u_.point(point);
      }
      current_table<T>().igemm(a);
    });
  }

 private:
  template <class F>
  int each(int slice, int slices, const F& f) const {
    return each_batch(scheme_, slice, slices, folded_ != nullptr, at_once_, f);
  }
  ProductArgs<const T, T> arguments(const Tiling::Block& block, const T* v, const T* u, T* m) const {
    return {.v = v,
            .u = u,
            .m = m,
            .v_ld = in_.ld,
            .u_ld = u_.ld(),
            .m_ld = out_.ld,
            .tiles = block.tiles(),
            .groups = p_.groups,
            .in = p_.in_channels / p_.groups,
            .out = p_.out_channels / p_.groups,
            .points = 1,
            .v_point = in_.point_stride,
            .u_point = u_.point_stride(),
            .m_point = out_.point_stride};
  }
  void groups(const Tiling::Block& block, int point, int count, const T* v, T* m) const {
    ProductArgs<const T, T> a = arguments(block, v, u_.point(point), m);
    for (int i = 0; i < count; ++i, a.v += a.v_point, a.u += a.u_point, a.m += a.m_point) u_.table().groups(a);
  }
  /// Packed weights are multiplied block by block of output channels.
  void fold(const Tiling::Block& block, int point, int count, const T* v, T* m, Prefetch& prefetch, int done,
            int points) const {
    ProductArgs<const T, T> a = arguments(block, v, u_.point(point), m);
    a.points = count;
    prefetch.take(done, points, a);
    if (u_.in_rows()) return folded_(a);
    const std::int64_t lanes = u_.table().lanes, width = 2 * lanes;
    for (std::int64_t c = 0; c < p_.out_channels; c += width) {
      a.u = u_.point(point) + c * a.in;
      a.m = m + c;
      a.u_ld = std::min(width, round_up(p_.out_channels - c, lanes));
      a.out = a.u_ld;  // zeros after the last channel
      folded_(a);
      a.prefetch = a.prefetch_end = nullptr;
      a.prefetch_lines = 0;
    }
  }

  const Conv3dProblem& p_;
  const Scheme& scheme_;
  const TransformedLayout &in_, &out_;
  TransformedWeights<T>& u_;
  void (*folded_)(const ProductArgs<const T, T>&);
  int at_once_;
  std::vector<std::vector<TapRun>> taps_;  // with stride 2: the products per point of y
};

}  // namespace vg::kernels::winograd
