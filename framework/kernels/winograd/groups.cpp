// Blocks are those of a dense convolution, and the channels of all groups are transformed together, in whole vectors.
// Only the products depend on groups (winograd/transforms/products-inl.hpp). Transformed weights have the layout of
// weights: one row per input channel of a group, which holds the output channels of all groups.
#include "voxgrad/framework/kernels/winograd/groups.hpp"

#include <algorithm>

#include "voxgrad/framework/kernels/common/pack.hpp"
#include "voxgrad/framework/kernels/winograd/blocks.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

template <class T>
class GroupWeights {
 public:
  GroupWeights(const Conv3dProblem& p, const Tiling& tiling, bool transpose, const T* w)
      : in_(p.in_channels / p.groups),
        table_(winograd_table<T>(p.out_channels / p.groups)),
        ld_(round_up(p.out_channels, table_.lanes) + table_.lanes),  // a group's last vector may extend past the end
        u_(tiling.points().all() * in_ * ld_) {
    const Weights<T> from = weights_of(p, w, transpose);
    each_weights(tiling.points(), [&](int slice, int slices) {
      T* const u = u_.data() + tiling.points().before(slice) * in_ * ld_;
      const auto convert = [&](const Weights<T>& weights, int64_t channels, T* to) {
        transform_weights<T>(p, tiling, weights, transpose, {0, in_, 0, channels, slice, slices, to, in_ * ld_, ld_},
                             table_);
      };
      // A row holds the outputs of all groups. Transposed weights are transformed group by group, in ascending order:
      // the whole vectors of one group also write past its channels, and the next group overwrites that.
      if (!transpose) convert(from, p.out_channels, u);
      const int64_t out = p.out_channels / p.groups;
      for (int64_t group = 0; transpose && group < p.groups; ++group) convert(from.group(group), out, u + group * out);
    });
  }
  const T* point(int index) { return u_.data() + index * in_ * ld_; }
  int64_t point_stride() const { return in_ * ld_; }
  int64_t ld() const { return ld_; }
  const WinogradTable<T>& table() const { return table_; }

 private:
  int64_t in_;
  const WinogradTable<T>& table_;
  int64_t ld_;
  memory::Scratch<T> u_;
};

}  // namespace

template <class T>
void data_pass_groups(const Conv3dProblem& p, const Points& points, bool transpose, const ConcatView<const T>& x,
                      const T* w, const ConcatView<T>& y, const Epilogue<T>& epilogue) {
  const Tiling tiling(p, points, block_tiles(p, points, sizeof(T)));
  GroupWeights<T> u(p, tiling, transpose, w);
  const WinogradTable<T>&in_table = winograd_table<T>(p.in_channels), &out_table = winograd_table<T>(p.out_channels);
  const TransformedLayout in(p.in_channels, tiling.most_input_tiles(), in_table.lanes),
      out(p.out_channels, tiling.most_tiles(), out_table.lanes);
  const bool folded = points.has_wide_tiles() && u.table().fold != nullptr;
  const auto products = [&](const Tiling::Block& block) {
    return [&, tiles = block.tiles()](const ProductBatch& batch, const T* v, T* m, const Prefetch::Share& ahead) {
      const int64_t group_in = p.in_channels / p.groups, group_out = p.out_channels / p.groups;
      if (folded) {
        ProductArgs<const T, T> a{batch.count,
                                  v,
                                  in.point_stride,
                                  in.ld,
                                  u.point(batch.point),
                                  u.point_stride(),
                                  u.ld(),
                                  m,
                                  out.point_stride,
                                  out.ld,
                                  tiles,
                                  p.groups,
                                  group_in,
                                  group_out};
        ahead.take(a);
        u.table().fold(a);
        return;
      }
      ahead.run();
      for (int i = 0; i < batch.count; ++i, v += in.point_stride, m += out.point_stride)
        u.table().groups({1, v, in.point_stride, in.ld, u.point(batch.point + i), u.point_stride(), u.ld(), m,
                          out.point_stride, out.ld, tiles, p.groups, group_in, group_out});
    };
  };
  // in place if a group has one vector of outputs, because its inputs are read before that is written
  const bool in_place = !folded && p.in_channels == p.out_channels && p.out_channels / p.groups <= u.table().lanes;
  data_pass_blocks<T>({p, transpose, x, w}, tiling, {x, in, in_table}, {y, out, out_table}, epilogue, products,
                      in_place);
}

template void data_pass_groups<float>(const Conv3dProblem&, const Points&, bool, const ConcatView<const float>&,
                                      const float*, const ConcatView<float>&, const Epilogue<float>&);
template void data_pass_groups<double>(const Conv3dProblem&, const Points&, bool, const ConcatView<const double>&,
                                       const double*, const ConcatView<double>&, const Epilogue<double>&);

}  // namespace vg::kernels::winograd
