#include "voxgrad/framework/kernels/winograd/winograd.hpp"

#include <algorithm>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/direct/direct.hpp"
#include "voxgrad/framework/kernels/winograd/loops.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// Backward-weights by the loop that fits. The panel loop reads one tensor. With several, F(2, 3) is here only as the
/// second attempt after other tiles.
template <class T>
bool grad_weight_by(const Conv3dProblem& p, WinogradTile tiles, const ConcatView<const T>& x, const T* dy, T* dw) {
  const Scheme scheme(p, tiles);
  return x.count == 1 && uses_panel_loop(p, scheme, sizeof(T)) ? grad_weight_by_panels(p, scheme, x.data[0], dy, dw)
                                                               : grad_weight_by_blocks(p, scheme, x, dy, dw);
}

/// The direct algorithm. It reads one tensor, so several are concatenated first.
template <class T>
void grad_weight_directly(const Conv3dProblem& p, const ConcatView<const T>& x, const T* dy, T* dw) {
  if (x.count == 1) return direct::grad_weight(p, x.data[0], dy, dw);
  const int64_t voxels = p.batch * in_volume(p) / p.in_channels;
  memory::Scratch<T> all(voxels * p.in_channels);
  for_each_source(x, [&](const T* data, int64_t channels, int64_t before) {
    for (int64_t v = 0; v < voxels; ++v)
      std::copy_n(data + v * channels, channels, all.data() + v * p.in_channels + before);
  });
  direct::grad_weight(p, all.data(), dy, dw);
}

}  // namespace

template <class T>
bool supports_concat(const Conv3dProblem& p, WinogradTile tiles) {
  const Scheme scheme(p, tiles);
  return !scheme.strided && !is_grouped<T>(p) && !uses_panel_loop(p, scheme, sizeof(T));
}

template <class T>
void data_pass(const Conv3dProblem& p, WinogradTile tiles, bool transpose, const ConcatView<const T>& x, const T* w,
               const ConcatView<T>& y, const Epilogue<T>& epilogue) {
  const Scheme scheme(p, tiles);
  if (is_grouped<T>(p) || !uses_panel_loop(p, scheme, sizeof(T)))
    return data_pass_by_blocks(p, scheme, transpose, x, w, y, epilogue);
  data_pass_by_panels(p, scheme, transpose, x.data[0], w, y.data[0], epilogue);
}

template <class T>
void grad_weight(const Conv3dProblem& p, WinogradTile tiles, const ConcatView<const T>& x, const T* dy, T* dw) {
  if (grad_weight_by(p, tiles, x, dy, dw)) return;
  // F(2, 3) adds no product with a zero of the padding to a tap
  if (Scheme(p, tiles).spreads() && grad_weight_by(p, WinogradTile::f2, x, dy, dw)) return;
  grad_weight_directly(p, x, dy, dw);
}

template bool supports_concat<float>(const Conv3dProblem&, WinogradTile);
template void data_pass<float>(const Conv3dProblem&, WinogradTile, bool, const ConcatView<const float>&, const float*,
                               const ConcatView<float>&, const Epilogue<float>&);
template void grad_weight<float>(const Conv3dProblem&, WinogradTile, const ConcatView<const float>&, const float*,
                                 float*);
template bool supports_concat<double>(const Conv3dProblem&, WinogradTile);
template void data_pass<double>(const Conv3dProblem&, WinogradTile, bool, const ConcatView<const double>&,
                                const double*, const ConcatView<double>&, const Epilogue<double>&);
template void grad_weight<double>(const Conv3dProblem&, WinogradTile, const ConcatView<const double>&, const double*,
                                  double*);

}  // namespace vg::kernels::winograd
