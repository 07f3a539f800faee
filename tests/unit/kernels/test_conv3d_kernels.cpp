// Compares every pass of the Conv3d kernels, with every kernel set that this CPU has, with the naive loop. With
// VOXGRAD_CONV3D_CASE="line", as a failure prints it, the random test runs that problem alone.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/kernels/conv3d_variants.hpp"
#include "tests/support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

using namespace vg::test;
using std::int64_t;
using vg::kernels::Pass;

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

// Short runs of weight rows, for which grad_weight puts several taps into a tile; the padding cuts the kernel to every
// smaller number of taps.
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
  for (const int64_t ci : {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 28, 29, 57})  // short runs and long ones
    for (const int64_t co : {8, 16, 32}) check_problem(cubic(1, {3, 2, 3}, ci, co, 3, 1, 1));
  for (const int64_t co : {33, 40}) check_problem(cubic(1, {20, 20, 30}, 1, co, 3, 1, 1));  // several pieces
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
  for (const int64_t k : {1, 2, 4, 5, 6, 7, 8})  // each number of taps has its own kernel; 8 taps have none
    for (const int64_t depth : {6, 19})
      check_problem(with_kernel(cubic(1, {4, 5, depth}, 17, 17, 3, 1, 1, 17), {3, 3, k}));
  for (const int64_t channels : {2, 5, 15, 16, 31, 64, 65, 130})  // numbers of vectors, and of vectors per task
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

// Outputs from 12 MiB on.
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
  check_problem(with(p, {4, 4, 4}, {2, 2, 2}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}));      // outputs without an input
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

// Found by a fuzzer: listing 2^30 phases of an output without elements took half a minute and gigabytes.
TEST_CASE("conv3d kernels: without a sample no indirection is built", "[conv3d][kernels]") {
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

TEST_CASE("conv3d algorithms: a forced algorithm is used", "[conv3d][kernels]") {
  const std::string before = vg::conv3d_algorithm();
  for (const std::string& name : vg::conv3d_algorithms()) {
    const vg::Conv3dAlgorithmGuard scope(name);
    CHECK(vg::conv3d_algorithm() == name);
  }
  CHECK(vg::conv3d_algorithm() == before);
  CHECK_THROWS_WITH(vg::use_conv3d_algorithm("fft"), Catch::Contains("fft") && Catch::Contains("winograd"));
  {
    const vg::Conv3dAlgorithmGuard scope("direct");
    vg::use_conv3d_algorithm("");  // ends the forced choice
    CHECK(vg::conv3d_algorithm() == "auto");
  }
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

TEST_CASE("conv3d kernels: a NaN reaches exactly the outputs that depend on it", "[conv3d][kernels]") {
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
    dy[0] = w[0] = nan;  // the padding would be multiplied with these
    check_sets();
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
