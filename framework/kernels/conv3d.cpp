// The three passes: to the algorithm that conv3d_choice.cpp names, or that a measurement does (conv3d_tune.hpp).
#include "framework/kernels/conv3d.hpp"

#include <algorithm>

#include "framework/kernels/conv3d_choice.hpp"
#include "framework/kernels/conv3d_plan.hpp"
#include "framework/kernels/conv3d_tune.hpp"
#include "framework/kernels/direct.hpp"
#include "framework/kernels/driver.hpp"
#include "framework/kernels/kernel_table.hpp"
#include "framework/kernels/winograd.hpp"

namespace vg::kernels {

namespace {

template <class T, class Direct, class Winograd>
void run(const Conv3dProblem& p, Pass pass, const Direct& direct, const Winograd& winograd) {
  const std::int64_t lanes = current_table<T>().lanes;
  const bool measured = is_tuning() && may_choose(p, pass);
  const Algorithm chosen = measured ? cost_of(p, lanes, pass).best_winograd() : algorithm_of(p, lanes, pass);
  const auto by_tiles = [&] {
    winograd(chosen == Algorithm::winograd4 ? winograd::Tiles::long_d : winograd::Tiles::square);
  };
  if (measured ? faster_is_second(p, pass, sizeof(T), direct, by_tiles) : chosen != Algorithm::direct)
    by_tiles();
  else
    direct();
}

// Nothing to write needs no plan: without a sample, sizes and dilations are bounded by no memory.
template <class T>
void gather(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y) {
  if (outputs(p) == 0) return;
  run<T>(
      p, transpose ? Pass::grad_input : Pass::forward, [&] { direct::gather(p, transpose, x, w, y); },
      [&](winograd::Tiles tiles) { winograd::gather(p, tiles, transpose, x, w, y); });
}

}  // namespace

template <class T>
void conv3d_forward(const Conv3dProblem& p, const T* x, const T* w, T* y) {
  gather(collapsed(p), false, x, w, y);
}

template <class T>
void conv3d_grad_input(const Conv3dProblem& p, const T* dy, const T* w, T* dx) {
  gather(transposed(collapsed(p)), true, dy, w, dx);
}

template <class T>
void conv3d_grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  const Conv3dProblem q = collapsed(p);
  if (outputs(p) == 0 || in_volume(p) == 0) {
    std::fill_n(dw, taps(p) * (p.in_channels / p.groups) * p.out_channels, T(0));
    return;
  }
  run<T>(
      q, Pass::grad_weight, [&] { direct::grad_weight(q, x, dy, dw); },
      [&](winograd::Tiles tiles) { winograd::grad_weight(q, tiles, x, dy, dw); });
}

template void conv3d_forward<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_forward<double>(const Conv3dProblem&, const double*, const double*, double*);
template void conv3d_grad_input<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_grad_input<double>(const Conv3dProblem&, const double*, const double*, double*);
template void conv3d_grad_weight<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_grad_weight<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels
