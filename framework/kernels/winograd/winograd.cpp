// The data passes. They transform the weights once. Each task then works on blocks of tiles (tiling.hpp), stage by
// stage: it transforms the inputs, multiplies per point (igemm with one tap per subkernel) and transforms the products
// to outputs. Stages keep the workspace small: one of F(2, 3) has 16 of the 64 points. Outputs are summed in place.
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

#include <algorithm>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/winograd/blocks.hpp"
#include "voxgrad/framework/kernels/winograd/groups.hpp"
#include "voxgrad/framework/kernels/winograd/panel_loop.hpp"
#include "voxgrad/framework/kernels/winograd/strided.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/transformed_layout.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// The products of a block, per point: a convolution over its tiles (SubKernelTaps), or fused products
/// (ProductArgs).
template <class T>
class DenseProducts {
 public:
  DenseProducts(const Conv3dProblem& p, const Tiling& tiling, const Tiling::Block& block, const TransformedLayout& in,
                const TransformedLayout& out, TransformedWeights<T>& u)
      : v_off_(block.runs(), block.depth_tiles, tiling.parts().halo(), in.ld),
        m_off_(block.tiles(), out.ld),
        parts_(tiling, block, p.in_channels, in.ld),
        args_{.x = nullptr,
              .w = nullptr,
              .y = nullptr,
              .taps = parts_.data(),
              .tap_count = parts_.size(),
              .x_indirection = v_off_.data(),
              .y_indirection = m_off_.data(),
              .positions = block.tiles(),
              .w_rows = parts_.size() * p.in_channels,
              .co_end = p.out_channels,
              .batch = {1, in.point_stride, u.point_stride(), out.point_stride}},
        fold_{0,       nullptr,          in.point_stride, in.ld,         nullptr, u.point_stride(), 0,
              nullptr, out.point_stride, out.ld,          block.tiles(), 1,       p.in_channels,    0},
        folded_(tiling.points().has_wide_tiles() ? current_winograd_table<T>().fold : nullptr),
        u_(u) {}
  void operator()(const ProductBatch& batch, const T* v, T* m, const Prefetch::Share& ahead) {
    if (folded_ != nullptr) return fold(batch, v, m, ahead);
    ahead.run();
    args_.x = v;
    args_.w = u_.point(batch.point);
    args_.y = m;
    args_.batch.count = batch.count;
    current_table<T>().igemm(args_);
  }

 private:
  /// Works on one block of packed output channels at a time.
  void fold(const ProductBatch& batch, const T* v, T* m, const Prefetch::Share& ahead) {
    const int64_t lanes = current_table<T>().lanes, block = 2 * lanes;
    fold_.points = batch.count;
    fold_.v = v;
    ahead.take(fold_);
    for (int64_t c = 0; c < args_.co_end; c += block) {
      fold_.u = u_.point(batch.point) + c * fold_.in;
      fold_.m = m + c;
      fold_.u_ld = std::min(block, round_up(args_.co_end - c, lanes));
      fold_.out = fold_.u_ld;  // zeros after the last channel
      folded_(fold_);
      fold_.prefetch = fold_.prefetch_end = nullptr;
      fold_.prefetch_lines = 0;
    }
  }

  Offsets v_off_, m_off_;
  SubKernelTaps parts_;
  IgemmArgs<T> args_;
  ProductArgs<const T, T> fold_;
  void (*folded_)(const ProductArgs<const T, T>&);
  TransformedWeights<T>& u_;
};

}  // namespace

bool applies(const Conv3dProblem& p, Pass pass) {
  if (!has_winograd_tables()) return false;
  if (is_strided(p, pass)) return true;
  bool three = false;
  for (int a = 0; a < 3; ++a) {
    if (p.stride[a] != 1 || p.lhs_dilation[a] != 1) return false;
    if (p.kernel_size[a] != 1 && p.kernel_size[a] != 3 && p.kernel_size[a] != 5) return false;
    three = three || p.kernel_size[a] > 1;
  }
  return three && (p.groups == 1 || (pass != Pass::grad_weight && SubKernels(p).all() == 1));
}

namespace {

template <class T>
void igemm(const Conv3dProblem& p, const Points& points, bool transpose, const ConcatView<const T>& x, const T* w,
           const ConcatView<T>& y, const Epilogue<T>& epilogue) {
  const Tiling tiling(p, points, block_tiles(p, points, sizeof(T)));
  TransformedWeights<T> u(p, tiling, transpose, w);
  const WinogradTable<T>& table = current_winograd_table<T>();
  const TransformedLayout in(p.in_channels, tiling.most_input_tiles(), table.lanes),
      out(p.out_channels, tiling.most_tiles(), table.lanes);
  data_pass_blocks<T>({p, transpose, x, w}, tiling, {x, in, table}, {y, out, table}, epilogue,
                      [&](const Tiling::Block& block) { return DenseProducts<T>(p, tiling, block, in, out, u); });
}

template <class T>
bool is_grouped(const Conv3dProblem& p) {
  return p.groups > 1 || has_one_half_width_group<T>(p);
}

}  // namespace

template <class T>
bool supports_concat(const Conv3dProblem& p, WinogradTile tiles) {
  return !is_strided(p, Pass::forward) && !is_grouped<T>(p) && !uses_panel_loop(p, Points(p, tiles), sizeof(T));
}

template <class T>
bool data_pass(const Conv3dProblem& p, WinogradTile tiles, bool transpose, const ConcatView<const T>& x, const T* w,
               const ConcatView<T>& y, const Epilogue<T>& epilogue) {
  if (is_strided(p, Pass::forward)) return data_pass_strided(p, transpose, x.data[0], w, y.data[0], epilogue);
  const bool grouped = is_grouped<T>(p);
  const Points points = stages_of(p, Points(p, tiles), sizeof(T));
  if (!grouped && uses_panel_loop(p, points, sizeof(T)))
    return data_pass_panel_loop(p, transpose, x.data[0], w, y.data[0]), false;
  if (grouped)
    data_pass_groups(p, points, transpose, x, w, y, epilogue);
  else
    igemm(p, points, transpose, x, w, y, epilogue);
  return takes(p, epilogue);
}

template bool supports_concat<float>(const Conv3dProblem&, WinogradTile);
template bool data_pass<float>(const Conv3dProblem&, WinogradTile, bool, const ConcatView<const float>&, const float*,
                               const ConcatView<float>&, const Epilogue<float>&);
template bool supports_concat<double>(const Conv3dProblem&, WinogradTile);
template bool data_pass<double>(const Conv3dProblem&, WinogradTile, bool, const ConcatView<const double>&,
                                const double*, const ConcatView<double>&, const Epilogue<double>&);

}  // namespace vg::kernels::winograd
