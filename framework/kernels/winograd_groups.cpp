// The blocks are those of a dense convolution, and all channels are transformed together, whole vectors of them; only
// the products know groups (body_winograd_groups.hpp). Weights by point lie as weights do: a row an input channel of
// the groups, in it the output channels of all groups.
#include "framework/kernels/winograd_groups.hpp"

#include <algorithm>

#include "framework/kernels/packing.hpp"
#include "framework/kernels/winograd_blocks.hpp"
#include "framework/kernels/winograd_weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

template <class T>
class GroupWeights {
 public:
  GroupWeights(const Conv3dProblem& p, const Tiling& tiling, bool transpose, const T* w)
      : p_(p),
        tiling_(tiling),
        from_(weights_of(p, w, transpose)),
        in_(p.in_channels / p.groups),
        out_(p.out_channels / p.groups),
        table_(winograd_table<T>(out_)),
        ld_(round_up(p.out_channels, table_.lanes) + table_.lanes),  // a group's last vector may pass the end
        u_(tiling.slices() * tiling.points() * in_ * ld_) {
    for (int slice = 0; slice < tiling.slices(); ++slice)
      if (transpose)
        turned_slice(slice);
      else
        table_.weights(arguments(slice, from_.origin, from_.tap_stride, from_.ci_stride, in_, p.out_channels,
                                 round_up(p.out_channels, table_.lanes), 0));
  }
  const T* point(int index) { return u_.data() + index * in_ * ld_; }
  int64_t ld() const { return ld_; }
  const WinogradTable<T>& table() const { return table_; }

 private:
  WinogradWeights<T, const T> arguments(int slice, const T* w, int64_t tap_stride, int64_t row_stride, int64_t rows,
                                        int64_t channels, int64_t width, int64_t at) {
    WinogradWeights<T, const T> a{};
    a.w = w;
    a.tap_stride = tap_stride;
    a.row_stride = row_stride;
    a.rows = rows;
    a.channels = channels;
    a.u = u_.data() + slice * tiling_.points() * in_ * ld_ + at;
    a.point_stride = in_ * ld_;
    a.u_stride = ld_;
    a.width = width;
    for (int i = 0; i < 3; ++i) a.three[i] = tiling_.three(i);
    a.slice = tiling_.three(0) ? slice : -1;
    return a;
  }
  /// Output channels are rows in memory: squares of each tap are turned first. A square writes whole vectors, and the
  /// next group what this one wrote beyond its own channels.
  void turned_slice(int slice) {
    const int64_t lanes = table_.lanes;
    memory::Scratch<T> square(taps(p_) * lanes * lanes);
    for (int64_t row = 0; row < in_; row += lanes)
      for (int64_t group = 0; group < p_.groups; ++group)
        for (int64_t c = 0; c < out_; c += lanes) {
          const int64_t rows = std::min(lanes, in_ - row), columns = std::min(lanes, out_ - c);
          const T* const from = from_.origin + group * from_.group_stride + c * from_.co_stride + row;
          for (int64_t t = 0; t < taps(p_); ++t)
            table_.transpose(from + t * from_.tap_stride, from_.co_stride, rows, columns,
                             square.data() + t * lanes * lanes);
          table_.weights(arguments(slice, square.data(), lanes * lanes, lanes, rows, columns, lanes,
                                   row * ld_ + group * out_ + c));
        }
  }

  const Conv3dProblem& p_;
  const Tiling& tiling_;
  Weights<T> from_;
  int64_t in_, out_;
  const WinogradTable<T>& table_;
  int64_t ld_;
  memory::Scratch<T> u_;
};

}  // namespace

template <class T>
void gather_groups(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y) {
  const Tiling tiling(p, block_tiles(p, sizeof(T)));
  if (tiling.tiles() == 0) return;
  GroupWeights<T> u(p, tiling, transpose, w);
  const WinogradTable<T>&in_table = winograd_table<T>(p.in_channels), &out_table = winograd_table<T>(p.out_channels);
  const PointLayout in(p.in_channels, tiling.most_input_tiles(), in_table.lanes),
      out(p.out_channels, tiling.most_tiles(), out_table.lanes);
  const auto products = [&](const Tiling::Block& block) {
    return [&, tiles = block.tiles()](int point, const T* v, T* m) {
      u.table().groups({v, in.ld, u.point(point), u.ld(), m, out.ld, tiles, p.groups, p.in_channels / p.groups,
                        p.out_channels / p.groups});
    };
  };
  // a group's inputs are read before its one vector of outputs is written
  const bool in_place = p.in_channels == p.out_channels && p.out_channels / p.groups <= u.table().lanes;
  gather_blocks<T>(p, tiling, {x, in, in_table}, {y, out, out_table}, products, in_place);
}

template void gather_groups<float>(const Conv3dProblem&, bool, const float*, const float*, float*);
template void gather_groups<double>(const Conv3dProblem&, bool, const double*, const double*, double*);

}  // namespace vg::kernels::winograd
