// Winograd's algorithms on every set: the same integers as the naive loop, and errors as small as those of the direct
// kernels.
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

TEST_CASE("conv3d kernels: random problems for Winograd", "[conv3d][kernels][winograd]") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const Conv3dProblem p = random_winograd_problem(seed);
    REQUIRE(vg::kernels::winograd::applies(p));
    check_problem(p, seed);
  }
  // blocks that end within a run, a strip or a sample; more channels than one part of grad_weight; lanes +- 1
  check_problem(cubic(3, {4, 4, 4}, 33, 17, 3, 1, 1));
  check_problem(cubic(1, {13, 9, 70}, 3, 5, 3, 1, 1));
  check_problem(cubic(1, {3, 37, 6}, 15, 16, 3, 1, 1));
  check_problem(cubic(1, {3, 4, 5}, 130, 200, 3, 1, 1));  // more weights than volume
  check_problem(cubic(2, {4, 9, 2}, 100, 97, 3, 1, 1));
}

// One or two outputs left along H or W make a remainder tile. All slices at once or in stages; blocks of each edge
// region.
TEST_CASE("conv3d kernels: remainder tiles of Winograd", "[conv3d][kernels][winograd]") {
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
  check_problem(cubic(5, {14, 14, 14}, 16, 32, 3, 2, 1));  // several partial sums
  check_problem(cubic(1, {4, 5, 6}, 130, 200, 3, 2, 1));   // more weights than volume
  check_problem(cubic(2, {3, 4, 5}, 3, 5, 3, 2, 0));       // VALID
  check_problem(cubic(1, {9, 33, 6}, 33, 16, 3, 2, 1));
}

TEST_CASE("conv3d kernels: strides of 2 for Winograd keep a NaN to the outputs that depend on it",
          "[conv3d][kernels][winograd]") {
  const vg::Conv3dAlgorithmGuard algorithm("winograd");
  const Conv3dProblem p = cubic(1, {9, 8, 13}, 5, 17, 3, 2, 1);
  for (std::int64_t at = 0; at < 8; ++at) {  // each position in a tile
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

// The points of F(2, 2) are differences of inputs, and no output is a difference, so the error is nearly that of the
// chains. For grad_weight the bound is that of above if the chains of the direct kernels are short.
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

TEST_CASE("conv3d kernels: groups for Winograd", "[conv3d][kernels][winograd]") {
  const std::vector<int64_t> ones{1, 1, 1};
  check_problem(cubic(1, {9, 7, 13}, 32, 32, 3, 1, 1, 4));   // groups of 8: half vectors of AVX-512
  check_problem(cubic(2, {5, 6, 37}, 64, 32, 3, 1, 1, 4));   // 16 -> 8
  check_problem(cubic(1, {6, 5, 9}, 32, 64, 3, 1, 1, 2));    // 16 -> 32: two vectors per group
  check_problem(cubic(1, {6, 5, 9}, 24, 72, 3, 1, 1, 3));    // 8 -> 24: a whole and a half vector
  check_problem(cubic(1, {4, 3, 11}, 15, 21, 3, 1, 1, 3));   // 5 -> 7: every store is masked
  check_problem(cubic(1, {4, 3, 11}, 34, 38, 3, 1, 1, 2));   // 17 -> 19
  check_problem(cubic(1, {4, 3, 11}, 16, 16, 3, 1, 1, 16));  // depthwise: a vector exceeds the last column
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
  check_problem(dilated(p, {8, 6, 12}));                                      // most phases have one output
  check_problem(dilated(p, {10, 50, 14}));                                    // only the centre tap is inside
  check_problem(with(p, ones, {4, 3, 2}, ones, {0, 0, 0}, {0, 0, 0}));        // phases of different lengths
  check_problem(with(p, ones, {3, 2, 4}, ones, {11, 9, 17}, {12, 8, 19}));    // pads beyond the kernel
  check_problem(with(p, ones, {2, 2, 3}, ones, {-1, -2, -5}, {-2, 1, 0}));    // crops
  check_problem(dilated(cubic(1, {3, 4, 150}, 17, 3, 3, 1, 1), {1, 1, 2}));   // parts of D
  check_problem(dilated(cubic(1, {3, 40, 6}, 3, 5, 3, 1, 1), {2, 3, 2}));     // strips of W
  check_problem(dilated(cubic(1, {3, 4, 5}, 130, 200, 3, 1, 1), {2, 3, 2}));  // few tiles
  check_problem(dilated(cubic(1, {3, 4, 2}, 5, 19, 3, 1, 1), {1, 2, 3}));     // a phase has no inputs
  Conv3dProblem one_tap = dilated(p, {2, 3, 2});
  one_tap.kernel_size[0] = 1;  // its dilation does not matter
  set_out_size(one_tap, 0, 2);
  check_problem(one_tap);
}

// Volumes that exceed the caches use non-temporal stores, and the samples alone do not. The results must be the same.
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

// Forward and grad_input have chains of Cin terms instead of 27 Cin. In grad_weight two thirds of the taps along a
// dimension are differences of larger sums, which makes 2.15 times the error of a chain in all (f4_complex tiles are no
// worse). Shorter chains compensate for this if those of the direct kernels are long. In small volumes, and with the
// small register tiles of 16 registers, those are equally short (128 positions).
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
        CHECK(winograd[2] < 5e-7 * rms_error(exact.dw, std::vector<double>(exact.dw.size())));  // always
      }
    }
  }
}

// The problems for which "auto" chooses f4_depth tiles: chains of at least 350 products, and sums over at least 2^15
// outputs. For the last problem the error of PyTorch 2.15 is 4.4e-6 of the rms in grad_weight (1.0e-6 in channels_last)
// and 3.7e-7 in forward.
TEST_CASE("conv3d kernels: Winograd's f4_depth tiles are as accurate as chains of products",
          "[conv3d][kernels][large]") {
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

TEST_CASE("conv3d kernels: Winograd keeps a NaN to the outputs that depend on it", "[conv3d][kernels][winograd]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string name =
      GENERATE("winograd", "winograd4", "winograd4x4x4");  // the other tiles are recomputed with the first
  const vg::Conv3dAlgorithmGuard algorithm(name);
  for (const Conv3dProblem& p :
       {cubic(1, {5, 6, 20}, 5, 7, 3, 1, 1), cubic(2, {4, 7, 9}, 20, 17, 3, 1, 1), cubic(1, {5, 6, 20}, 5, 7, 5, 1, 2)})
    for (std::int64_t at = 0; at < 32; ++at) {  // each position in the first tile and between the last two
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
        const double tolerance = name == "winograd4" ? 1e-5 : 0;  // as in check_numbers; F(2, 3) for the NaN's tiles
        CHECK(is_close(got.y, want.y, tolerance));
        CHECK(is_close(got.dx, want.dx, tolerance));
      }
    }
}

// Inside of the volume only, because Winograd multiplies the zeros of the padding, and NaN times zero is NaN.
TEST_CASE("conv3d kernels: with Winograd a NaN reaches the outputs that depend on it", "[conv3d][kernels][winograd]") {
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
