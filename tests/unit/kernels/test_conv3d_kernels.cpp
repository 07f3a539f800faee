// Every pass of the Conv3d kernels on every kernel set that this CPU has, against the naive loop.
// VOXGRAD_CONV3D_CASE="line" (as a failure prints it) runs that problem alone in the random test.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/conv3d_cases.hpp"
#include "tests/support/conv3d_check.hpp"
#include "tests/support/naive_conv3d.hpp"
#include "tests/support/run_self.hpp"
#include "tests/support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/cost_model.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/kernels/winograd/strided.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace {

using namespace vg::test;
using std::int64_t;
using vg::kernels::Pass;

/// The three passes on the set in force.
template <class T>
NaiveConv3d run(const Conv3dProblem& p, const std::vector<double>& x, const std::vector<double>& w,
                const std::vector<double>& dy) {
  return run_passes<T>(p, x, w, dy, vg::kernels::conv3d_forward<T>, vg::kernels::conv3d_grad_input<T>,
                       vg::kernels::conv3d_grad_weight<T>);
}

bool is_strided(const Conv3dProblem& p) { return vg::kernels::winograd::is_strided(p, Pass::forward); }

bool has_wide_tiles(const Conv3dProblem& p) {
  return !is_strided(p) &&
         vg::kernels::winograd::Points(p, vg::kernels::winograd::WinogradTile::f4_complex).has_wide_tiles();
}

/// On every set that this CPU has, with every algorithm that applies.
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

/// To the bit on small integers, but for the algorithm whose points are no halves.
template <class T>
void check_numbers(const NaiveConv3d& got, const NaiveConv3d& want) {
  if (vg::conv3d_algorithm() == "winograd4")
    check_close(got, want, sizeof(T) == sizeof(float) ? 1e-5 : 1e-13);
  else
    check_equal(got, want);
}

void check_problem(const Conv3dProblem& p, std::uint64_t seed = 1) {
  const auto x = small_integers(x_size(p), seed), w = small_integers(w_size(p), seed + 1),
             dy = small_integers(y_size(p), seed + 2);
  const NaiveConv3d want = naive_conv3d(p, x, w, dy);
  each_variant(p, [&] {
    INFO("VOXGRAD_CONV3D_CASE=\"" << to_line(p) << "\" seed " << seed);
    check_numbers<float>(run<float>(p, x, w, dy), want);
    check_numbers<double>(run<double>(p, x, w, dy), want);
  });
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double rms_error(const std::vector<double>& got, const std::vector<double>& want) {
  double error = 0;
  for (std::size_t i = 0; i < want.size(); ++i) error += (got[i] - want[i]) * (got[i] - want[i]);
  return std::sqrt(error / static_cast<double>(want.size()));
}

/// 3 taps of a dilation in each dimension, and pads that keep the size.
Conv3dProblem dilated(const Conv3dProblem& p, const std::vector<int64_t>& dilation) {
  return with(p, {1, 1, 1}, dilation, {1, 1, 1}, dilation, dilation);
}

}  // namespace

TEST_CASE("conv3d kernels: the shapes of a U-Net, in small", "[conv3d][kernels]") {
  for (const auto& [ci, co] : std::vector<std::pair<int64_t, int64_t>>{{4, 16}, {16, 16}, {32, 16}, {32, 32}, {64, 32}})
    check_problem(cubic(1, {4, 6, 16}, ci, co, 3, 1, 1));
  check_problem(cubic(1, {5, 6, 18}, 1, 16, 3, 1, 1));
  check_problem(cubic(2, {4, 6, 16}, 16, 32, 3, 2, 1));
  check_problem(cubic(1, {4, 5, 7}, 32, 64, 3, 2, 1));
  check_problem(cubic(1, {8, 6, 8}, 32, 64, 2, 2, 0));  // its grad_input is the transposed convolution
  check_problem(cubic(2, {3, 4, 5}, 16, 8, 1, 1, 0));
  check_problem(cubic(1, {4, 6, 40}, 16, 1, 3, 1, 1));
  check_problem(cubic(1, {4, 6, 40}, 16, 4, 1, 1, 0));
  check_problem(cubic(1, {4, 4, 4}, 70, 130, 3, 1, 1));
  check_problem(cubic(1, {1, 1, 2500}, 3, 5, 1, 1, 0));
  check_problem(cubic(1, {2, 3, 1300}, 2, 3, 3, 2, 1));
}

// Runs of a few rows, whose grad_weight takes several taps a tile: the padding cuts the kernel to every smaller number.
TEST_CASE("conv3d kernels: short runs, around every edge of a block", "[conv3d][kernels]") {
  for (const int64_t co : {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 40, 41, 64, 72}) {
    check_problem(cubic(1, {4, 4, 5}, 1, co, 3, 1, 1));
    check_problem(cubic(1, {3, 4, 3}, 3, co, 3, 2, 1));
    Conv3dProblem p = cubic(1, {34, 2, 3}, 1, co, 1, 1, 0);
    p.kernel_size[0] = 34;
    p.pad[0] = 33;
    set_out_size(p, 0, 33);
    check_problem(p);
  }
  for (const int64_t ci : {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 28, 29, 57})  // where runs begin to be long
    for (const int64_t co : {8, 16, 32}) check_problem(cubic(1, {3, 2, 3}, ci, co, 3, 1, 1));
  for (const int64_t co : {33, 40}) check_problem(cubic(1, {20, 20, 30}, 1, co, 3, 1, 1));  // positions in pieces
  for (const int64_t co : {3, 8, 24}) {
    const Conv3dProblem p = cubic(2, {5, 4, 9}, 1, co, 3, 1, 1);
    check_problem(with(p, {1, 1, 1}, {2, 1, 2}, {1, 2, 3}, {2, 1, 2}, {2, 0, 1}));
    check_problem(with(p, {2, 1, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 2}, {1, 1, 1}));
    check_problem(cubic(1, {5, 4, 9}, 4, 4 * co, 3, 1, 1, 4));
  }
}

TEST_CASE("conv3d kernels: few channels, with padding on either side or none", "[conv3d][kernels]") {
  for (const int64_t in : {1, 2, 6})
    for (const int64_t out : {3, 8, 17}) {
      check_problem(cubic(2, {4, 3, 7}, in, out, 3, 1, 1));
      check_problem(cubic(1, {16, 3, 20}, in, out, 3, 1, 2));
      check_problem(cubic(2, {5, 6, 7}, in, out, 2, 1, 1));
      check_problem(with(cubic(2, {5, 6, 7}, in, out, 3, 1, 1), {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 1, 2}, {2, 1, 0}));
    }
}

TEST_CASE("conv3d kernels: groups and depthwise", "[conv3d][kernels]") {
  check_problem(cubic(1, {4, 5, 9}, 20, 20, 3, 1, 1, 20));
  check_problem(cubic(1, {4, 5, 9}, 40, 40, 3, 2, 1, 40));
  check_problem(cubic(2, {4, 5, 9}, 7, 21, 3, 1, 1, 7));
  check_problem(cubic(1, {4, 5, 9}, 24, 12, 3, 1, 1, 3));
  check_problem(cubic(1, {4, 5, 9}, 34, 68, 2, 1, 0, 2));
  check_problem(cubic(1, {4, 5, 9}, 64, 64, 5, 1, 2, 64));
}

TEST_CASE("conv3d kernels: lanes over groups at stride 1, around every edge of a block", "[conv3d][kernels]") {
  for (const int64_t depth : {1, 2, 3, 7, 8, 9, 15, 16, 17, 33})  // tiles along D
    check_problem(cubic(1, {3, 4, depth}, 20, 20, 3, 1, 1, 20));
  for (const int64_t k : {1, 2, 4, 5, 6, 7, 8})  // each number of taps has its own kernels; 8 is beyond them
    for (const int64_t depth : {6, 19})
      check_problem(with_kernel(cubic(1, {4, 5, depth}, 17, 17, 3, 1, 1, 17), {3, 3, k}));
  for (const int64_t channels : {2, 5, 15, 16, 31, 64, 65, 130})  // vectors, and vectors of a task
    check_problem(cubic(1, {3, 4, 5}, channels, channels, 3, 1, 1, channels));
  for (const int64_t multiplier : {2, 3, 8, 17})
    for (const int64_t channels : {2, 9, 24})
      check_problem(cubic(1, {3, 4, 5}, channels, multiplier * channels, 3, 1, 1, channels));
  for (const auto& [ci, co] : std::vector<std::pair<int64_t, int64_t>>{{8, 8}, {4, 8}, {8, 4}, {3, 5}, {2, 30}})
    check_problem(cubic(2, {3, 4, 9}, 5 * ci, 5 * co, 3, 1, 1, 5));
  for (const int64_t ci : {1, 2, 3, 4}) check_problem(cubic(2, {3, 4, 9}, ci, 33, 3, 1, 1));
  check_problem(cubic(1, {40, 3, 4}, 20, 20, 3, 1, 1, 20));   // runs of planes
  check_problem(cubic(1, {3, 70, 40}, 65, 65, 3, 1, 1, 65));  // blocks of W
  check_problem(cubic(1, {3, 3, 300}, 4, 4, 3, 1, 1, 4));     // blocks of D
  check_problem(cubic(1, {5, 6, 7}, 6, 6, 7, 1, 3, 6));
  check_problem(with(cubic(1, {5, 6, 7}, 6, 12, 3, 1, 1, 6), {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {4, 5, 6}, {6, 5, 4}));
  check_problem(
      with(cubic(1, {5, 6, 7}, 6, 12, 3, 1, 1, 6), {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {-1, -2, -1}, {0, 3, -1}));
}

// From 12 MiB on.
TEST_CASE("conv3d kernels: outputs stored non-temporally", "[conv3d][kernels][large]") {
  check_problem(cubic(1, {40, 50, 61}, 1, 32, 3, 1, 1));
  for (const int64_t along : {1, 2, 5})
    check_problem(with_kernel(cubic(1, {40, 50, 61}, 1, 32, 3, 1, 1), {3, 1, along}));
  check_problem(cubic(1, {32, 32, 57}, 32, 32, 3, 1, 1, 32));
}

TEST_CASE("conv3d kernels: outputs of one tap stored non-temporally", "[conv3d][kernels]") {
  check_problem(cubic(2, {20, 40, 53}, 4, 32, 1, 1, 0));
  check_problem(cubic(2, {20, 40, 53}, 32, 4, 1, 1, 0));
}

TEST_CASE("conv3d kernels: dilations, strides and odd pads", "[conv3d][kernels]") {
  const Conv3dProblem p = cubic(2, {4, 5, 6}, 3, 5, 3, 1, 1);
  check_problem(with(p, {2, 3, 2}, {2, 1, 3}, {3, 2, 1}, {3, 0, -1}, {3, 2, 4}));
  check_problem(with(p, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {9, 8, 7}, {10, 8, 9}));     // beyond the kernel
  check_problem(with(p, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {-1, -2, -1}, {0, 0, -1}));  // crops
  check_problem(with(p, {4, 4, 4}, {2, 2, 2}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}));      // outputs that meet nothing
  check_problem(with(p, {1, 1, 1}, {100, 9, 50}, {1, 1, 1}, {100, 9, 50}, {100, 9, 50}));
  check_problem(with(p, {1, 1, 1}, {1, 1, 1}, {5, 7, 9}, {0, 0, 0}, {0, 0, 0}));  // stride beyond the kernel
}

TEST_CASE("conv3d kernels: empty sizes", "[conv3d][kernels]") {
  Conv3dProblem p = cubic(0, {4, 5, 6}, 3, 5, 3, 1, 1);
  check_problem(p);  // dw is zero
  p = cubic(2, {4, 5, 6}, 3, 5, 3, 1, 1);
  p.out_size[1] = 0;
  check_problem(p);
  p = cubic(2, {4, 0, 6}, 3, 5, 3, 1, 2);
  REQUIRE(y_size(p) > 0);
  check_problem(p);  // y is zero
  check_problem(cubic(0, {4, 5, 6}, 8, 8, 3, 1, 1, 8));
  check_problem(cubic(0, {4, 5, 6}, 8, 8, 1, 1, 0));
  check_problem(cubic(0, {4, 5, 6}, 130, 200, 3, 1, 1));
}

TEST_CASE("conv3d kernels: random problems", "[conv3d][kernels]") {
  if (const char* line = std::getenv("VOXGRAD_CONV3D_CASE")) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) check_problem(from_line(line), seed);
    return;
  }
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const Conv3dProblem p = random_problem(seed);
    REQUIRE(to_line(from_line(to_line(p))) == to_line(p));
    check_problem(p, seed);
  }
}

TEST_CASE("conv3d kernels: random problems for Winograd", "[conv3d][kernels][winograd]") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const Conv3dProblem p = random_winograd_problem(seed);
    REQUIRE(vg::kernels::winograd::applies(p));
    check_problem(p, seed);
  }
  // blocks that end within a run, a strip, a sample; more channels than a part of grad_weight's; lanes +- 1
  check_problem(cubic(3, {4, 4, 4}, 33, 17, 3, 1, 1));
  check_problem(cubic(1, {13, 9, 70}, 3, 5, 3, 1, 1));
  check_problem(cubic(1, {3, 37, 6}, 15, 16, 3, 1, 1));
  check_problem(cubic(1, {3, 4, 5}, 130, 200, 3, 1, 1));  // more weights than volume
  check_problem(cubic(2, {4, 9, 2}, 100, 97, 3, 1, 1));
}

// One or two outputs left along H or W are a short wide tile. All slices at once or by passes; blocks of each kind.
TEST_CASE("conv3d kernels: short tiles of Winograd", "[conv3d][kernels][winograd]") {
  for (const std::int64_t h : {2, 4, 5, 6, 7})
    for (const std::int64_t w : {1, 4, 6, 7})
      for (const std::int64_t channels : {8, 24}) check_problem(cubic(2, {h, w, 5}, channels, 9, 3, 1, 1));
  check_problem(cubic(5, {6, 6, 6}, 16, 16, 3, 1, 1));
  check_problem(cubic(3, {10, 14, 9}, 40, 33, 3, 1, 1));
  check_problem(cubic(1, {9, 10, 70}, 17, 16, 3, 1, 0));
  check_problem(dilated(cubic(1, {9, 10, 8}, 8, 16, 3, 1, 1), {1, 2, 1}));
  check_problem(cubic(2, {0, 6, 6}, 8, 8, 3, 1, 1));
}

TEST_CASE("conv3d kernels: strides of 2 for Winograd", "[conv3d][kernels][winograd]") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Conv3dProblem p = random_strided_problem(seed);
    REQUIRE(vg::kernels::winograd::applies(p));
    check_problem(p, seed);
  }
  check_problem(cubic(1, {6, 5, 150}, 17, 33, 3, 2, 1));   // parts of D
  check_problem(cubic(5, {14, 14, 14}, 16, 32, 3, 2, 1));  // several slabs
  check_problem(cubic(1, {4, 5, 6}, 130, 200, 3, 2, 1));   // more weights than volume
  check_problem(cubic(2, {3, 4, 5}, 3, 5, 3, 2, 0));       // VALID
  check_problem(cubic(1, {9, 33, 6}, 33, 16, 3, 2, 1));
}

TEST_CASE("conv3d kernels: strides of 2 for Winograd keep a NaN to what meets it", "[conv3d][kernels][winograd]") {
  const vg::Conv3dAlgorithmGuard algorithm("winograd");
  const Conv3dProblem p = cubic(1, {9, 8, 13}, 5, 17, 3, 2, 1);
  for (std::int64_t at = 0; at < 8; ++at) {  // each place in a tile
    auto x = small_integers(x_size(p), 1), w = small_integers(w_size(p), 2), dy = small_integers(y_size(p), 3);
    const auto voxel = [at](const int64_t* size, int64_t channels) {
      const int64_t h = 2 + at / 4, ww = 2 + at / 2 % 2, d = 2 + at % 2;
      return static_cast<std::size_t>(((h * size[1] + ww) * size[2] + d) * channels + 1);
    };
    x[voxel(p.in_size, p.in_channels)] = std::numeric_limits<double>::quiet_NaN();
    dy[voxel(p.out_size, p.out_channels)] = std::numeric_limits<double>::quiet_NaN();
    const NaiveConv3d want = naive_conv3d(p, x, w, dy);
    for (const std::string& set : vg::available_kernel_sets()) {
      const vg::KernelSetGuard scope(set);
      INFO(set << " place " << at);
      const NaiveConv3d got = run<float>(p, x, w, dy);
      CHECK(first_difference(got.y, want.y) == -1);
      CHECK(first_difference(got.dx, want.dx) == -1);
    }
  }
}

// F(2, 2)'s points are differences of inputs, but no output is one: nearly the error of the chains. grad_weight: as
// above, where the direct kernels' chains are as short as a small volume's.
TEST_CASE("conv3d kernels: strides of 2 by Winograd are as accurate as chains of products",
          "[conv3d][kernels][winograd][large]") {
  for (const Conv3dProblem& p : {cubic(2, {24, 24, 24}, 16, 32, 3, 2, 1), cubic(1, {20, 20, 20}, 64, 48, 3, 2, 1),
                                 cubic(1, {48, 48, 48}, 16, 32, 3, 2, 1)}) {
    const auto x = reals(x_size(p), 1), w = reals(w_size(p), 2), dy = reals(y_size(p), 3);
    const auto with_algorithm = [&](const char* name, auto zero) {
      const vg::Conv3dAlgorithmGuard scope(name);
      return run<decltype(zero)>(p, x, w, dy);
    };
    const NaiveConv3d exact = with_algorithm("direct", 0.0);
    for (const std::string& set : vg::available_kernel_sets()) {
      const vg::KernelSetGuard scope(set);
      INFO(set << " " << to_line(p));
      const NaiveConv3d direct = with_algorithm("direct", 0.0F), winograd = with_algorithm("winograd", 0.0F);
      CHECK(rms_error(winograd.y, exact.y) <= 1.05 * rms_error(direct.y, exact.y));
      CHECK(rms_error(winograd.dx, exact.dx) <= 1.15 * rms_error(direct.dx, exact.dx));
      CHECK(rms_error(winograd.dw, exact.dw) <= 2.0 * rms_error(direct.dw, exact.dw));
      CHECK(rms_error(winograd.dw, exact.dw) < 5e-7 * rms_error(exact.dw, std::vector<double>(exact.dw.size())));
    }
  }
}

TEST_CASE("conv3d kernels: five taps for Winograd", "[conv3d][kernels][winograd]") {
  const Conv3dProblem p = cubic(2, {6, 7, 13}, 9, 17, 5, 1, 2);
  check_problem(p);
  check_problem(cubic(1, {5, 4, 75}, 17, 33, 5, 1, 2));  // parts of D
  check_problem(cubic(1, {2, 37, 6}, 16, 5, 5, 1, 2));   // strips of W
  check_problem(cubic(2, {7, 6, 9}, 4, 8, 5, 1, 0));     // VALID
  check_problem(cubic(1, {2, 1, 3}, 4, 8, 5, 1, 4));     // smaller than the kernel
  check_problem(dilated(p, {2, 3, 2}));
  for (const std::array<int64_t, 3>& k : {std::array<int64_t, 3>{1, 5, 5}, {5, 1, 1}, {3, 5, 1}, {5, 3, 3}})
    check_problem(with_kernel(p, k));
}

// A fuzzer's finding: 2^30 phases of an output that has no elements took half a minute and gigabytes to be listed.
TEST_CASE("conv3d kernels: without a sample nothing is planned", "[conv3d][kernels]") {
  constexpr int64_t huge = int64_t{1} << 30;
  Conv3dProblem p = cubic(0, {4, 4, 4}, 2, 2, 1, 1, 0);
  p.lhs_dilation[0] = huge;
  p.out_size[0] = 3 * huge + 1;
  std::vector<float> dw = {1, 2, 3, 4};
  const std::vector<float> w(4);
  vg::kernels::conv3d_forward<float>(p, nullptr, w.data(), nullptr);
  vg::kernels::conv3d_grad_input<float>(p, nullptr, w.data(), nullptr);
  vg::kernels::conv3d_grad_weight<float>(p, nullptr, nullptr, dw.data());
  CHECK(dw == std::vector<float>(4));
}

TEST_CASE("conv3d kernels: groups for Winograd", "[conv3d][kernels][winograd]") {
  const std::vector<int64_t> ones{1, 1, 1};
  check_problem(cubic(1, {9, 7, 13}, 32, 32, 3, 1, 1, 4));   // groups of 8: half vectors of AVX-512
  check_problem(cubic(2, {5, 6, 37}, 64, 32, 3, 1, 1, 4));   // 16 -> 8
  check_problem(cubic(1, {6, 5, 9}, 32, 64, 3, 1, 1, 2));    // 16 -> 32: two vectors of a group
  check_problem(cubic(1, {6, 5, 9}, 24, 72, 3, 1, 1, 3));    // 8 -> 24: a whole and a half vector
  check_problem(cubic(1, {4, 3, 11}, 15, 21, 3, 1, 1, 3));   // 5 -> 7: every store is masked
  check_problem(cubic(1, {4, 3, 11}, 34, 38, 3, 1, 1, 2));   // 17 -> 19
  check_problem(cubic(1, {4, 3, 11}, 16, 16, 3, 1, 1, 16));  // depthwise: a vector of u passes the last column
  check_problem(cubic(1, {5, 4, 6}, 8, 8, 3, 1, 1));         // one group of half vectors
  check_problem(cubic(1, {5, 4, 6}, 20, 7, 3, 1, 1));
  const Conv3dProblem p = cubic(1, {6, 7, 12}, 16, 16, 3, 1, 1, 2);
  check_problem(dilated(p, {2, 3, 2}));
  check_problem(with(p, ones, ones, ones, {0, 2, 0}, {0, 1, 3}));
  check_problem(with_kernel(p, {3, 1, 3}));
}

TEST_CASE("conv3d kernels: five taps of many channels for Winograd", "[conv3d][kernels][winograd][large]") {
  check_problem(cubic(1, {4, 4, 4}, 100, 120, 5, 1, 2));
}

TEST_CASE("conv3d kernels: dilated kernels for Winograd", "[conv3d][kernels][winograd]") {
  const std::vector<int64_t> ones{1, 1, 1};
  const Conv3dProblem p = cubic(2, {9, 7, 13}, 5, 19, 3, 1, 1);  // no size is a multiple of a dilation
  check_problem(dilated(p, {2, 2, 2}));
  check_problem(dilated(p, {4, 4, 4}));
  check_problem(dilated(p, {2, 1, 4}));
  check_problem(dilated(p, {8, 6, 12}));                                      // most phases are one output
  check_problem(dilated(p, {10, 50, 14}));                                    // the centre alone is inside
  check_problem(with(p, ones, {4, 3, 2}, ones, {0, 0, 0}, {0, 0, 0}));        // phases of different lengths
  check_problem(with(p, ones, {3, 2, 4}, ones, {11, 9, 17}, {12, 8, 19}));    // pads beyond the kernel
  check_problem(with(p, ones, {2, 2, 3}, ones, {-1, -2, -5}, {-2, 1, 0}));    // crops
  check_problem(dilated(cubic(1, {3, 4, 150}, 17, 3, 3, 1, 1), {1, 1, 2}));   // parts of D
  check_problem(dilated(cubic(1, {3, 40, 6}, 3, 5, 3, 1, 1), {2, 3, 2}));     // strips of W
  check_problem(dilated(cubic(1, {3, 4, 5}, 130, 200, 3, 1, 1), {2, 3, 2}));  // few tiles
  check_problem(dilated(cubic(1, {3, 4, 2}, 5, 19, 3, 1, 1), {1, 2, 3}));     // a phase has no inputs
  Conv3dProblem one_tap = dilated(p, {2, 3, 2});
  one_tap.kernel_size[0] = 1;  // its dilation means nothing
  set_out_size(one_tap, 0, 2);
  check_problem(one_tap);
}

// Volumes beyond the caches are stored past them: nothing else may differ. The samples alone are small enough.
TEST_CASE("conv3d kernels: large outputs of Winograd are those of their samples",
          "[conv3d][kernels][winograd][large]") {
  const std::string name = GENERATE("winograd", "winograd4", "winograd4x4x4");
  using Kernel = std::array<int64_t, 3>;
  const Conv3dProblem dense = cubic(6, {11, 30, 45}, 16, 32, 3, 1, 1);
  const Conv3dProblem all = GENERATE_COPY(with_kernel(dense, Kernel{3, 3, 3}), with_kernel(dense, Kernel{1, 3, 3}),
                                          cubic(6, {21, 40, 45}, 16, 8, 3, 2, 1));
  if (is_strided(all) && name != "winograd") return;
  Conv3dProblem one = all;
  one.batch = 1;
  const std::size_t in = static_cast<std::size_t>(x_size(one)), out = static_cast<std::size_t>(y_size(one));
  const auto x = small_integers(x_size(all), 1), w = small_integers(w_size(all), 2), dy = reals(y_size(all), 3);
  const vg::Conv3dAlgorithmGuard algorithm(name);
  for (const std::string& set : vg::available_kernel_sets()) {
    const vg::KernelSetGuard scope(set);
    INFO(set << " " << name << " " << to_line(all));
    const NaiveConv3d got = run<float>(all, x, w, dy);
    const auto part = [](const std::vector<double>& v, std::size_t i, std::size_t n) {
      return std::vector<double>(v.begin() + static_cast<std::ptrdiff_t>(i * n),
                                 v.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
    };
    for (std::size_t i = 0; i < 6; ++i) {
      const NaiveConv3d want = run<float>(one, part(x, i, in), w, part(dy, i, out));
      CHECK(first_difference(part(got.y, i, out), want.y) == -1);
      CHECK(first_difference(part(got.dx, i, in), want.dx) == -1);
    }
  }
}

TEST_CASE("conv3d kernels: Winograd applies where it is defined", "[conv3d][kernels][winograd]") {
  const Conv3dProblem p = cubic(1, {6, 6, 6}, 8, 8, 3, 1, 1);
  CHECK(vg::kernels::winograd::applies(p));
  const Conv3dProblem strided = cubic(1, {6, 6, 6}, 8, 8, 3, 2, 1);
  const Conv3dProblem dilated_input = with(p, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  for (const Pass pass : {Pass::forward, Pass::grad_input, Pass::grad_weight}) {
    CHECK(vg::kernels::winograd::applies(strided, pass));
    CHECK(vg::kernels::winograd::applies(dilated_input, pass) == (pass != Pass::grad_weight));
  }
  CHECK(!vg::kernels::winograd::applies(cubic(1, {6, 6, 6}, 8, 8, 3, 2, 1, 2)));
  CHECK(!vg::kernels::winograd::applies(cubic(1, {6, 6, 6}, 8, 8, 3, 3, 1)));
  CHECK(!vg::kernels::winograd::applies(with(p, {1, 1, 1}, {1, 2, 1}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1})));
  CHECK(!vg::kernels::winograd::applies(with(p, {1, 1, 1}, {1, 1, 1}, {2, 2, 1}, {1, 1, 1}, {1, 1, 1})));
  CHECK(vg::kernels::winograd::applies(cubic(1, {6, 6, 6}, 8, 8, 5, 1, 2)));
  CHECK(!vg::kernels::winograd::applies(cubic(1, {6, 6, 6}, 8, 8, 7, 1, 3)));
  CHECK(!vg::kernels::winograd::applies(cubic(1, {6, 6, 6}, 8, 8, 1, 1, 0)));
  const Conv3dProblem grouped = cubic(1, {6, 6, 6}, 8, 8, 3, 1, 1, 2);
  for (const Pass pass : {Pass::forward, Pass::grad_input}) CHECK(vg::kernels::winograd::applies(grouped, pass));
  CHECK(!vg::kernels::winograd::applies(grouped, Pass::grad_weight));
  CHECK(!vg::kernels::winograd::applies(cubic(1, {6, 6, 6}, 8, 8, 5, 1, 2, 2)));
  CHECK(vg::kernels::winograd::applies(with(p, {1, 1, 1}, {1, 2, 7}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})));
  CHECK(!vg::kernels::winograd::applies(with(p, {1, 1, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})));
}

TEST_CASE("conv3d kernels: Winograd is chosen for dilated kernels where it is faster", "[conv3d][kernels][winograd]") {
  const vg::Conv3dAlgorithmGuard scope("auto");
  const auto chosen = [](const Conv3dProblem& p) { return vg::kernels::use_winograd(p, 16); };
  CHECK(chosen(dilated(cubic(1, {32, 32, 32}, 32, 32, 3, 1, 1), {2, 2, 2})));
  CHECK(chosen(dilated(cubic(1, {32, 32, 32}, 32, 32, 3, 1, 1), {4, 4, 4})));
  // most taps are outside, and the direct kernels skip them
  CHECK(!chosen(dilated(cubic(1, {8, 8, 8}, 128, 128, 3, 1, 1), {4, 4, 4})));
  CHECK(!chosen(dilated(cubic(1, {32, 32, 32}, 32, 32, 3, 1, 1), {40, 40, 40})));
}

// Forward and grad_input: chains of Cin terms instead of 27 Cin. grad_weight: two thirds of a dimension's taps are
// differences of larger sums (2.15 times the error of a chain in all; wide tiles' are no worse), which shorter chains
// make up for where the direct kernels' are long; in small volumes and with the small tiles of 16 registers these are
// as short (128 positions).
TEST_CASE("conv3d kernels: Winograd is as accurate as the direct kernels", "[conv3d][kernels][winograd][large]") {
  for (const Conv3dProblem& p : {cubic(1, {16, 16, 16}, 16, 16, 3, 1, 1), cubic(1, {12, 12, 12}, 64, 48, 3, 1, 1),
                                 cubic(1, {32, 32, 32}, 16, 16, 3, 1, 1), cubic(1, {24, 24, 24}, 16, 16, 5, 1, 2)}) {
    const auto x = reals(x_size(p), 1), w = reals(w_size(p), 2), dy = reals(y_size(p), 3);
    const auto exact = [&] {
      const vg::Conv3dAlgorithmGuard scope("direct");
      return run<double>(p, x, w, dy);
    }();
    for (const std::string& set : vg::available_kernel_sets()) {
      const vg::KernelSetGuard set_scope(set);
      if (!vg::kernels::winograd::applies(p)) continue;
      const auto errors = [&](const char* algorithm) {
        const vg::Conv3dAlgorithmGuard scope(algorithm);
        const NaiveConv3d got = run<float>(p, x, w, dy);
        return std::array{rms_error(got.y, exact.y), rms_error(got.dx, exact.dx), rms_error(got.dw, exact.dw)};
      };
      const auto direct = errors("direct");
      const bool short_chains = set != "avx512" || x_size(p) / p.in_channels < 10000;
      for (const char* const name : {"winograd", "winograd4x4x4"}) {
        if (name == std::string("winograd4x4x4") && !has_wide_tiles(p)) continue;
        const auto winograd = errors(name);
        for (std::size_t pass = 0; pass < 3; ++pass) {
          INFO(set << " pass " << pass << ": direct " << direct[pass] << ", " << name << " " << winograd[pass]);
          CHECK(winograd[pass] <= (pass < 2 ? 0.9 : short_chains ? 2.0 : 1.0) * direct[pass]);
        }
        INFO(set << ": " << name << " " << winograd[2] << " of an rms of "
                 << rms_error(exact.dw, std::vector<double>(exact.dw.size())));
        CHECK(winograd[2] < 5e-7 * rms_error(exact.dw, std::vector<double>(exact.dw.size())));  // whatever the chains
      }
    }
  }
}

double largest_error(const std::vector<double>& got, const std::vector<double>& want) {
  double error = 0;
  for (std::size_t i = 0; i < want.size(); ++i) error = std::max(error, std::abs(got[i] - want[i]));
  return error;
}

// Where "auto" takes them: chains of at least 350 products, and sums over at least 2^15 outputs. PyTorch 2.15's
// grad_weight of the last problem is wrong by 4.4e-6 of its rms (1.0e-6 in channels_last), its forward by 3.7e-7.
TEST_CASE("conv3d kernels: Winograd's long tiles are as accurate as chains of products", "[conv3d][kernels][large]") {
  for (const Conv3dProblem& p : {cubic(1, {16, 16, 16}, 16, 16, 3, 1, 1), cubic(1, {12, 12, 12}, 64, 48, 3, 1, 1),
                                 cubic(1, {32, 32, 32}, 16, 16, 3, 1, 1), cubic(1, {40, 40, 40}, 32, 32, 3, 1, 1)}) {
    const auto x = reals(x_size(p), 1), w = reals(w_size(p), 2), dy = reals(y_size(p), 3);
    const auto with = [&](const char* algorithm, auto zero) {
      const vg::Conv3dAlgorithmGuard scope(algorithm);
      return run<decltype(zero)>(p, x, w, dy);
    };
    const NaiveConv3d exact = with("direct", 0.0);
    for (const std::string& set : vg::available_kernel_sets()) {
      const vg::KernelSetGuard set_scope(set);
      INFO(set << " " << to_line(p));
      const NaiveConv3d direct = with("direct", 0.0F), tiles = with("winograd4", 0.0F);
      const double bound = set == "portable" ? 1.2 : 1.1;  // without fused multiply-adds the transforms round more
      CHECK(rms_error(tiles.y, exact.y) <= bound * rms_error(direct.y, exact.y));
      CHECK(rms_error(tiles.dx, exact.dx) <= bound * rms_error(direct.dx, exact.dx));
      CHECK(largest_error(tiles.y, exact.y) <= largest_error(direct.y, exact.y));
      CHECK(largest_error(tiles.dx, exact.dx) <= largest_error(direct.dx, exact.dx));
      CHECK(rms_error(tiles.dw, exact.dw) < 7e-7 * rms_error(exact.dw, std::vector<double>(exact.dw.size())));
    }
  }
}

TEST_CASE("conv3d algorithms: what is forced is what runs", "[conv3d][kernels]") {
  const std::string before = vg::conv3d_algorithm();
  for (const std::string& name : vg::conv3d_algorithms()) {
    const vg::Conv3dAlgorithmGuard scope(name);
    CHECK(vg::conv3d_algorithm() == name);
  }
  CHECK(vg::conv3d_algorithm() == before);
  CHECK_THROWS_WITH(vg::use_conv3d_algorithm("fft"), Catch::Contains("fft") && Catch::Contains("winograd"));
  CHECK_THROWS_AS(vg::use_conv3d_algorithm(""), vg::ValueError);
  CHECK(vg::conv3d_algorithm() == before);
}

TEST_CASE("conv3d kernels: <y, g> == <x, dx> == <w, dw> on integers", "[conv3d][kernels]") {
  for (std::uint64_t seed = 1001; seed <= 1040; ++seed) {
    const Conv3dProblem p = random_problem(seed);
    const auto x = small_integers(x_size(p), seed), w = small_integers(w_size(p), seed + 1),
               g = small_integers(y_size(p), seed + 2);
    for (const std::string& set : vg::available_kernel_sets()) {
      const vg::KernelSetGuard scope(set);
      INFO("VOXGRAD_KERNELS=" << set << " " << to_line(p));
      const NaiveConv3d r = run<float>(p, x, w, g);
      CHECK(dot(r.y, g) == dot(x, r.dx));
      CHECK(dot(r.y, g) == dot(w, r.dw));
    }
  }
}

TEST_CASE("conv3d kernels: the same bits for any number of threads", "[conv3d][kernels][threads][bits]") {
  for (const Conv3dProblem& p : {cubic(1, {8, 12, 32}, 16, 16, 3, 1, 1), cubic(2, {6, 10, 20}, 5, 33, 3, 2, 1),
                                 cubic(1, {4, 4, 4}, 64, 96, 3, 1, 1), cubic(1, {8, 12, 40}, 24, 24, 3, 1, 1, 24),
                                 cubic(1, {8, 12, 40}, 24, 48, 3, 1, 1, 4), cubic(3, {8, 12, 40}, 16, 8, 1, 1, 0),
                                 cubic(1, {8, 12, 40}, 16, 2, 3, 1, 1), cubic(1, {8, 12, 40}, 20, 40, 3, 1, 1, 20),
                                 cubic(1, {8, 12, 40}, 2, 40, 3, 1, 1), cubic(3, {8, 12, 40}, 1, 8, 3, 1, 1)}) {
    const auto x = reals(x_size(p), 1), w = reals(w_size(p), 2), dy = reals(y_size(p), 3);
    each_variant(p, [&] {
      INFO(to_line(p));
      const ThreadsGuard one_thread(1);
      const NaiveConv3d one = run<float>(p, x, w, dy);
      for (const int threads : {2, 3, 8}) {
        const ThreadsGuard scope(threads);
        check_equal(run<float>(p, x, w, dy), one);
      }
    });
  }
}

TEST_CASE("conv3d kernels: a NaN reaches what it meets and nothing else", "[conv3d][kernels]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Conv3dProblem& p : {cubic(1, {5, 6, 20}, 5, 7, 3, 1, 1), cubic(1, {5, 6, 9}, 20, 3, 3, 2, 1),
                                 cubic(1, {5, 6, 9}, 20, 20, 3, 1, 1, 20), cubic(1, {5, 6, 9}, 6, 9, 3, 1, 1, 3),
                                 cubic(2, {3, 3, 5}, 19, 33, 1, 1, 0), cubic(2, {4, 5, 6}, 1, 9, 3, 1, 1)}) {
    auto x = small_integers(x_size(p), 1), w = small_integers(w_size(p), 2), dy = small_integers(y_size(p), 3);
    const auto check_sets = [&] {
      const NaiveConv3d want = naive_conv3d(p, x, w, dy);
      for (const std::string& set : vg::available_kernel_sets()) {
        const vg::KernelSetGuard scope(set);
        INFO(set << " " << to_line(p));
        check_equal(run<float>(p, x, w, dy), want);
        check_equal(run<double>(p, x, w, dy), want);
      }
    };
    x[x.size() / 2] = dy[dy.size() / 2] = nan;
    check_sets();
    x[x.size() / 2] = dy[dy.size() / 2] = 1;
    dy[0] = w[0] = nan;  // what the padding would multiply
    check_sets();
  }
}

TEST_CASE("conv3d kernels: Winograd keeps a NaN to the outputs that meet it", "[conv3d][kernels][winograd]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string name =
      GENERATE("winograd", "winograd4", "winograd4x4x4");  // the others compute a tile again, by the first
  const vg::Conv3dAlgorithmGuard algorithm(name);
  for (const Conv3dProblem& p :
       {cubic(1, {5, 6, 20}, 5, 7, 3, 1, 1), cubic(2, {4, 7, 9}, 20, 17, 3, 1, 1), cubic(1, {5, 6, 20}, 5, 7, 5, 1, 2)})
    for (std::int64_t at = 0; at < 32; ++at) {  // each place in a tile, in the first and between the last two
      auto x = small_integers(x_size(p), 1), w = small_integers(w_size(p), 2), dy = small_integers(y_size(p), 3);
      const std::int64_t row = p.in_size[2], plane = p.in_size[1] * row;
      const bool last = at >= 16;
      const std::int64_t h0 = last ? p.in_size[0] - 3 : 1, w0 = last ? p.in_size[1] - 3 : 1;
      const std::int64_t voxel = (h0 + at / 8 % 2) * plane + (w0 + at / 4 % 2) * row + 3 + at % 4;
      x[static_cast<std::size_t>(voxel * p.in_channels + 2)] = nan;
      dy[static_cast<std::size_t>(voxel * p.out_channels + 1)] = nan;
      const NaiveConv3d want = naive_conv3d(p, x, w, dy);
      for (const std::string& set : vg::available_kernel_sets()) {
        const vg::KernelSetGuard scope(set);
        INFO(set << " " << name << " " << to_line(p) << " voxel " << voxel);
        const NaiveConv3d got = run<float>(p, x, w, dy);
        const double tolerance = name == "winograd4" ? 1e-5 : 0;  // as check_numbers: only the NaN's tiles are square
        CHECK(is_close(got.y, want.y, tolerance));
        CHECK(is_close(got.dx, want.dx, tolerance));
      }
    }
}

// Inside the volume: Winograd multiplies the zeros of the border, and a NaN by zero is NaN.
TEST_CASE("conv3d kernels: with Winograd a NaN reaches what it meets", "[conv3d][kernels][winograd]") {
  const Conv3dProblem dense = cubic(1, {7, 8, 21}, 20, 17, 3, 1, 1);
  for (const Conv3dProblem& p :
       {dense, dilated(dense, {2, 2, 2}), dilated(dense, {1, 3, 4}), cubic(1, {4, 4, 4}, 130, 150, 3, 1, 1)}) {
    auto x = small_integers(x_size(p), 1), dy = small_integers(y_size(p), 3);
    const auto w = small_integers(w_size(p), 2);
    const auto centre = [](const int64_t* size, int64_t channels) {
      return static_cast<std::size_t>(((size[0] / 2 * size[1] + size[1] / 2) * size[2] + size[2] / 2) * channels + 1);
    };
    x[centre(p.in_size, p.in_channels)] = dy[centre(p.out_size, p.out_channels)] =
        std::numeric_limits<double>::quiet_NaN();
    const NaiveConv3d want = naive_conv3d(p, x, w, dy);
    each_variant(p, [&] {
      INFO(to_line(p));
      check_numbers<float>(run<float>(p, x, w, dy), want);
      check_numbers<double>(run<double>(p, x, w, dy), want);
    });
  }
}

TEST_CASE("conv3d kernels: float error does not grow with the volume", "[conv3d][kernels][large]") {
  const Conv3dProblem p = cubic(1, {40, 40, 40}, 2, 16, 3, 1, 1);
  const auto x = reals(x_size(p), 1), w = reals(w_size(p), 2), dy = reals(y_size(p), 3);
  for (const std::string& set : vg::available_kernel_sets()) {
    const vg::KernelSetGuard scope(set);
    const NaiveConv3d single = run<float>(p, x, w, dy), exact = run<double>(p, x, w, dy);
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < exact.dw.size(); ++i) {
      error += (single.dw[i] - exact.dw[i]) * (single.dw[i] - exact.dw[i]);
      norm += exact.dw[i] * exact.dw[i];
    }
    CHECK(std::sqrt(error / norm) < 1e-6);
  }
}

TEST_CASE("kernel sets: what is forced is what runs", "[kernels]") {
  const auto compiled = vg::compiled_kernel_sets(), available = vg::available_kernel_sets();
  REQUIRE(compiled.back() == "portable");
  REQUIRE(available.back() == "portable");
  for (const std::string& name : available) {
    CHECK(std::count(compiled.begin(), compiled.end(), name) == 1);
    const std::string before = vg::kernel_set();
    {
      const vg::KernelSetGuard scope(name);
      CHECK(vg::kernel_set() == name);
      const auto* tables = name == "avx512" ? vg::kernels::avx512_kernels
                           : name == "avx2" ? vg::kernels::avx2_kernels
                                            : vg::kernels::portable_kernels;
      CHECK(&vg::kernels::current_kernels() == tables);
    }
    CHECK(vg::kernel_set() == before);
  }
  const std::string before = vg::kernel_set();
  CHECK_THROWS_AS(vg::use_kernel_set("sse9"), vg::ValueError);
  CHECK_THROWS_WITH(vg::use_kernel_set("sse9"), Catch::Contains("sse9") && Catch::Contains("portable"));
  CHECK(vg::kernel_set() == before);
}

// Run by the next test in a process of its own: the environment counts at the first use.
TEST_CASE("kernel sets: print the set in force", "[.kernel-set-of-environment]") {
  try {
    std::printf("<%s>\n", vg::kernel_set().c_str());
  } catch (const vg::ValueError& e) {
    std::printf("<ValueError: %s>\n", e.what());
  }
}

TEST_CASE("kernel sets: VOXGRAD_KERNELS", "[kernels]") {
  const auto set_with = [](const std::string& value) {
    return run_self("VOXGRAD_KERNELS='" + value + "'", "[.kernel-set-of-environment]");
  };
  for (const std::string& name : vg::available_kernel_sets())
    CHECK_THAT(set_with(name), Catch::Contains("<" + name + ">"));
  CHECK_THAT(set_with(""), Catch::Contains("<" + vg::available_kernel_sets().front() + ">"));
  CHECK_THAT(set_with("sse9"),
             Catch::Contains("<ValueError: ") && Catch::Contains("sse9") && Catch::Contains("portable"));
}
