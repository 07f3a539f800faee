// Conv3d's passes on every kernel set with every algorithm, against the naive loop.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/kernels/conv3d_cases.hpp"
#include "tests/support/kernels/conv3d_check.hpp"
#include "tests/support/kernels/naive_conv3d.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace vg::test {

/// The three passes with the current kernel set.
template <class T>
NaiveConv3d run(const Conv3dProblem& p, const std::vector<double>& x, const std::vector<double>& w,
                const std::vector<double>& dy) {
  return run_passes<T>(p, x, w, dy, vg::kernels::conv3d_forward<T>, vg::kernels::conv3d_grad_input<T>,
                       vg::kernels::conv3d_grad_weight<T>);
}

inline bool is_strided(const Conv3dProblem& p) {
  return vg::kernels::winograd::is_strided(p, vg::kernels::Pass::forward);
}

inline bool has_wide_tiles(const Conv3dProblem& p) {
  return !is_strided(p) &&
         vg::kernels::winograd::Scheme(p, vg::kernels::winograd::WinogradTile::f4_complex).has_wide_tiles();
}

/// Runs f with every kernel set that this CPU has and every algorithm that applies.
template <class F>
void each_variant(const Conv3dProblem& p, const F& f) {
  for (const std::string& set : vg::available_kernel_sets())
    for (const std::string algorithm : {"direct", "winograd", "winograd4", "winograd4x4x4"}) {
      if (algorithm != "direct" && !vg::kernels::winograd::applies(p)) continue;
      if (algorithm == "winograd4" && (p.kernel_size[2] != 3 || is_strided(p))) continue;  // the same as winograd
      if (algorithm == "winograd4x4x4" && !has_wide_tiles(p)) continue;
      const vg::KernelSetGuard set_scope(set);
      const vg::Conv3dAlgorithmGuard algorithm_scope(algorithm);
      INFO("VOXGRAD_KERNELS=" << set << " VOXGRAD_CONV3D=" << algorithm);
      f();
    }
}

/// Compares bits on small integers, except for winograd4, whose points make rounding errors.
template <class T>
void check_numbers(const NaiveConv3d& got, const NaiveConv3d& want) {
  if (vg::conv3d_algorithm() == "winograd4")
    check_close(got, want, sizeof(T) == sizeof(float) ? 1e-5 : 1e-13);
  else
    check_equal(got, want);
}

inline void check_problem(const Conv3dProblem& p, std::uint64_t seed = 1) {
  const auto x = small_integers(x_size(p), seed), w = small_integers(w_size(p), seed + 1),
             dy = small_integers(y_size(p), seed + 2);
  const NaiveConv3d want = naive_conv3d(p, x, w, dy);
  each_variant(p, [&] {
    INFO("VOXGRAD_CONV3D_CASE=\"" << to_line(p) << "\" seed " << seed);
    check_numbers<float>(run<float>(p, x, w, dy), want);
    check_numbers<double>(run<double>(p, x, w, dy), want);
  });
}

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

inline double rms_error(const std::vector<double>& got, const std::vector<double>& want) {
  double error = 0;
  for (std::size_t i = 0; i < want.size(); ++i) error += (got[i] - want[i]) * (got[i] - want[i]);
  return std::sqrt(error / static_cast<double>(want.size()));
}

/// A kernel of 3 taps per dimension with these dilations, and padding that keeps the size.
inline Conv3dProblem dilated(const Conv3dProblem& p, const std::vector<std::int64_t>& dilation) {
  return with(p, {1, 1, 1}, dilation, {1, 1, 1}, dilation, dilation);
}

inline double largest_error(const std::vector<double>& got, const std::vector<double>& want) {
  double error = 0;
  for (std::size_t i = 0; i < want.size(); ++i) error = std::max(error, std::abs(got[i] - want[i]));
  return error;
}

}  // namespace vg::test
