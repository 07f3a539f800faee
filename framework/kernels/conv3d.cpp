// The three passes. Each runs the algorithm that cost_model.cpp or a measurement (autotune.hpp) chooses.
#include "voxgrad/framework/kernels/conv3d.hpp"

#include <algorithm>

#include "voxgrad/framework/kernels/autotune.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/indirection.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/cost_model.hpp"
#include "voxgrad/framework/kernels/depthwise/depthwise.hpp"
#include "voxgrad/framework/kernels/direct/direct.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace vg::kernels {

namespace {

winograd::WinogradTile tiles_of(Algorithm algorithm) {
  return algorithm == Algorithm::winograd4x4x4 ? winograd::WinogradTile::f4_complex
         : algorithm == Algorithm::winograd4   ? winograd::WinogradTile::f4_depth
                                               : winograd::WinogradTile::f2;
}

template <class T, class Direct, class Winograd>
void run(const Conv3dProblem& p, Pass pass, const Direct& direct, const Winograd& winograd) {
  const std::int64_t lanes = current_table<T>().lanes;
  const bool measured = is_tuning() && may_choose(p, pass);
  const Algorithm chosen =
      measured ? cost_of(p, lanes, pass, sizeof(T)).best_winograd() : algorithm_of(p, lanes, pass, sizeof(T));
  const auto by_tiles = [&] { winograd(tiles_of(chosen)); };
  if (measured ? faster_is_second(p, pass, sizeof(T), direct, by_tiles) : chosen != Algorithm::direct)
    by_tiles();
  else
    direct();
}

/// A data pass without Winograd: runs the depthwise kernels where they apply, else the direct ones.
template <class T>
void data_pass_directly(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y,
                        const Epilogue<T>& epilogue) {
  if (!depthwise::applies<T>(p, false) || !depthwise::data_pass(p, transpose, x, w, y, epilogue))
    direct::data_pass(p, transpose, x, w, y, epilogue);
}
template <class T>
void grad_weight_directly(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  if (!depthwise::applies<T>(p, true) || !depthwise::grad_weight(p, x, dy, dw)) direct::grad_weight(p, x, dy, dw);
}

// Returns early without outputs: their sizes and dilations are unbounded and could overflow planning. Only Winograd
// reads or writes several tensors, and an epilogue needs y to be a single one.
template <class T>
void data_pass(const Conv3dProblem& p, bool transpose, const ConcatView<const T>& x, const T* w, const ConcatView<T>& y,
               const Epilogue<T>& epilogue) {
  if (outputs(p) == 0) return;
  run<T>(
      p, transpose ? Pass::grad_input : Pass::forward,
      [&] { data_pass_directly(p, transpose, x.data[0], w, y.data[0], epilogue); },
      [&](winograd::WinogradTile tiles) { winograd::data_pass(p, tiles, transpose, x, w, y, epilogue); });
}

/// The problem that a pass's kernels see.
Conv3dProblem problem_of(const Conv3dProblem& p, Pass pass) {
  return pass == Pass::grad_input ? transposed(collapsed(p)) : collapsed(p);
}

}  // namespace

template <class T>
void conv3d_forward_concat(const Conv3dProblem& p, const ConcatView<const T>& x, const T* w, T* y,
                           const Epilogue<T>& epilogue) {
  data_pass(problem_of(p, Pass::forward), false, x, w, single(y, p.out_channels), epilogue);
}

template <class T>
void conv3d_grad_input_concat(const Conv3dProblem& p, const T* dy, const T* w, const ConcatView<T>& dx) {
  data_pass(problem_of(p, Pass::grad_input), true, single(dy, p.out_channels), w, dx, Epilogue<T>());
}

template <class T>
void conv3d_grad_weight_concat(const Conv3dProblem& p, const ConcatView<const T>& x, const T* dy, T* dw) {
  const Conv3dProblem q = problem_of(p, Pass::grad_weight);
  if (outputs(p) == 0 || in_volume(p) == 0) {
    std::fill_n(dw, taps(p) * (p.in_channels / p.groups) * p.out_channels, T(0));
    return;
  }
  run<T>(
      q, Pass::grad_weight, [&] { grad_weight_directly(q, x.data[0], dy, dw); },
      [&](winograd::WinogradTile tiles) { winograd::grad_weight(q, tiles, x, dy, dw); });
}

template <class T>
bool conv3d_supports_concat(const Conv3dProblem& p, Pass pass, const std::int64_t* channels, std::size_t count) {
  const Conv3dProblem q = problem_of(p, pass);
  const std::int64_t lanes = current_table<T>().lanes;
  if (count > std::size_t{ConcatView<T>::most} || outputs(q) == 0 || is_tuning()) return false;
  if (!std::all_of(channels, channels + count, [&](std::int64_t c) { return c % lanes == 0; })) return false;
  const Algorithm algorithm = algorithm_of(q, lanes, pass, sizeof(T));
  return algorithm != Algorithm::direct && winograd::supports_concat<T>(q, tiles_of(algorithm));
}

template void conv3d_forward_concat<float>(const Conv3dProblem&, const ConcatView<const float>&, const float*, float*,
                                           const Epilogue<float>&);
template void conv3d_grad_input_concat<float>(const Conv3dProblem&, const float*, const float*,
                                              const ConcatView<float>&);
template void conv3d_grad_weight_concat<float>(const Conv3dProblem&, const ConcatView<const float>&, const float*,
                                               float*);
template bool conv3d_supports_concat<float>(const Conv3dProblem&, Pass, const std::int64_t*, std::size_t);
template void conv3d_forward_concat<double>(const Conv3dProblem&, const ConcatView<const double>&, const double*,
                                            double*, const Epilogue<double>&);
template void conv3d_grad_input_concat<double>(const Conv3dProblem&, const double*, const double*,
                                               const ConcatView<double>&);
template void conv3d_grad_weight_concat<double>(const Conv3dProblem&, const ConcatView<const double>&, const double*,
                                                double*);
template bool conv3d_supports_concat<double>(const Conv3dProblem&, Pass, const std::int64_t*, std::size_t);

}  // namespace vg::kernels
