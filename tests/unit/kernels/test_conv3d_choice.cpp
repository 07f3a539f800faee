// The choice of an algorithm for Conv3d, and the cache of indirections.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/kernels/conv3d_cases.hpp"
#include "tests/support/run_self.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/autotune.hpp"
#include "voxgrad/framework/kernels/common/indirection.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/cost_model.hpp"

using namespace vg::test;
using std::int64_t;

// Which algorithm is the fastest is for benchmarks/choice_bench to say; here: whichever is chosen applies.
TEST_CASE("conv3d choice: the chosen algorithm applies to the problem", "[conv3d][choice]") {
  using vg::kernels::Algorithm;
  using vg::kernels::Pass;
  const vg::Conv3dAlgorithmGuard scope("auto");
  std::vector<Conv3dProblem> problems;
  for (const int64_t size : {4, 7, 14, 32})
    for (const int64_t channels : {1, 8, 32, 256})
      for (const int64_t kernel : {1, 2, 3, 5})
        for (const int64_t stride : {1, 2, 3}) {
          const Conv3dProblem p = cubic(2, {size, size, size}, channels, channels, kernel, stride, kernel / 2);
          problems.push_back(p);
          problems.push_back(with_kernel(p, {kernel, 1, 1}));
        }
  for (const Conv3dProblem& p : problems)
    for (const Pass pass : {Pass::forward, Pass::grad_input, Pass::grad_weight})
      for (const int64_t lanes : {4, 8, 16}) {
        const vg::kernels::Cost cost = vg::kernels::cost_of(p, lanes, pass);
        const Algorithm chosen = vg::kernels::algorithm_of(p, lanes, pass);
        INFO(p.in_size[0] << "^3, " << p.in_channels << " channels, kernel " << p.kernel_size[0] << ", stride "
                          << p.stride[0] << ", lanes " << lanes);
        CHECK(chosen != Algorithm::automatic);
        CHECK(std::isfinite(chosen == Algorithm::direct      ? cost.direct
                            : chosen == Algorithm::winograd  ? cost.winograd
                            : chosen == Algorithm::winograd4 ? cost.winograd4
                                                             : cost.winograd4x4x4));
        if (p.stride[0] == 3 || p.kernel_size[0] < 3) CHECK(chosen == Algorithm::direct);
        if (!vg::kernels::may_choose(p, pass)) CHECK(chosen == Algorithm::direct);
      }
}

TEST_CASE("conv3d choice: a forced algorithm is used", "[conv3d][choice]") {
  const Conv3dProblem p = cubic(1, {7, 7, 7}, 8, 8, 3, 1, 1);
  const vg::Conv3dAlgorithmGuard automatic("auto");
  CHECK(vg::kernels::may_choose(p));
  CHECK(!vg::kernels::may_choose(cubic(1, {7, 7, 7}, 8, 8, 3, 3, 1)));
  {
    const vg::Conv3dAlgorithmGuard scope("winograd");
    CHECK(vg::kernels::use_winograd(p, 16));
    CHECK(!vg::kernels::use_winograd(cubic(1, {7, 7, 7}, 8, 8, 3, 3, 1), 16));
    CHECK(!vg::kernels::may_choose(p));
  }
  const vg::Conv3dAlgorithmGuard scope("direct");
  CHECK(!vg::kernels::use_winograd(cubic(1, {32, 32, 32}, 64, 64, 3, 1, 1), 16));
}

TEST_CASE("conv3d tune: the faster algorithm is measured once", "[conv3d][choice]") {
  const Conv3dProblem p = cubic(1, {3, 5, 17}, 8, 8, 3, 1, 1);
  int slow = 0, fast = 0;
  const auto slow_run = [&] { ++slow, std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  const auto fast_run = [&] { ++fast; };
  using vg::kernels::Pass;
  CHECK(vg::kernels::faster_is_second(p, Pass::forward, 4, slow_run, fast_run));
  CHECK(slow == 2);
  CHECK(fast == 2);
  CHECK(vg::kernels::faster_is_second(p, Pass::forward, 4, fast_run, slow_run));  // remembered, so nothing runs
  CHECK(slow == 2);
  CHECK(!vg::kernels::faster_is_second(p, Pass::grad_input, 4, fast_run, slow_run));  // another pass
  CHECK(!vg::kernels::faster_is_second(p, Pass::forward, 8, fast_run, slow_run));     // another dtype
}

// The next test runs this in new processes, because the environment is read at the first use.
TEST_CASE("conv3d choice: print the effect of the environment", "[.conv3d-environment]") {
  try {
    std::printf("<%s, %s>\n", vg::conv3d_algorithm().c_str(), vg::kernels::is_tuning() ? "tuning" : "estimating");
    const Conv3dProblem p = cubic(1, {8, 8, 8}, 16, 16, 3, 1, 1);
    vg::memory::Scratch<float> x(8 * 8 * 8 * 16), w(27 * 16 * 16), y(8 * 8 * 8 * 16);
    std::fill_n(x.data(), 8 * 8 * 8 * 16, 1.0F);
    std::fill_n(w.data(), 27 * 16 * 16, 1.0F);
    for (int i = 0; i < 3; ++i) {
      vg::kernels::conv3d_forward<float>(p, x.data(), w.data(), y.data());
      std::printf("<%g>", static_cast<double>(y.data()[((4 * 8 + 4) * 8 + 4) * 16]));
    }
  } catch (const vg::ValueError& e) {
    std::printf("<ValueError: %s>\n", e.what());
  }
}

TEST_CASE("conv3d choice: VOXGRAD_CONV3D and VOXGRAD_TUNE", "[conv3d][choice]") {
  const auto with = [](const std::string& environment) { return run_self(environment, "[.conv3d-environment]"); };
  CHECK_THAT(with("VOXGRAD_CONV3D= VOXGRAD_TUNE="),
             Catch::Contains("<auto, estimating>") && Catch::Contains("<432><432><432>"));
  CHECK_THAT(with("VOXGRAD_CONV3D=direct VOXGRAD_TUNE=0"),
             Catch::Contains("<direct, estimating>") && Catch::Contains("<432><432><432>"));
  CHECK_THAT(with("VOXGRAD_CONV3D=winograd"), Catch::Contains("<winograd, ") && Catch::Contains("<432><432><432>"));
  CHECK_THAT(with("VOXGRAD_TUNE=1"), Catch::Contains("<auto, tuning>") && Catch::Contains("<432><432><432>"));
  CHECK_THAT(with("VOXGRAD_CONV3D=fft"),
             Catch::Contains("<ValueError: ") && Catch::Contains("fft") && Catch::Contains("direct"));
}

TEST_CASE("conv3d indirection: built once per shape", "[conv3d][choice]") {
  const Conv3dProblem p = cubic(1, {5, 6, 7}, 3, 4, 3, 1, 1);
  const auto plan = vg::kernels::indirection_of(p, 128);
  CHECK(vg::kernels::indirection_of(p, 128) == plan);
  CHECK(vg::kernels::indirection_of(p, 256) != plan);
  CHECK(vg::kernels::indirection_of(cubic(2, {5, 6, 7}, 3, 4, 3, 1, 1), 128) != plan);
  for (int64_t n = 1; n <= 70; ++n) vg::kernels::indirection_of(cubic(n, {3, 3, 3}, 1, 1, 1, 1, 0), 128);
  const auto again =
      vg::kernels::indirection_of(p, 128);  // evicts p's indirection; the old one exists while it is referenced
  CHECK(again != plan);
  CHECK(again->boxes() == plan->boxes());
}

/// Tensors of more than 2^31 elements. x and y have 8.6 GB each, so the test is hidden: voxgrad_tests "[.huge]" runs
/// it. All elements are zero except a few at the end, so the results are known.
TEST_CASE("conv3d kernels: more than 2^31 elements", "[.huge]") {
  const int64_t channels = 8, h = 640, w = 640, d = 656, voxels = h * w * d, n = voxels * channels;
  REQUIRE(n > int64_t{1} << 31);
  const Conv3dProblem p = cubic(1, {h, w, d}, channels, channels, 3, 1, 1);
  vg::memory::Scratch<float> x(n), y(n), weights(27 * channels * channels), dw(27 * channels * channels);
  for (int64_t i = 0; i < 27 * channels * channels; ++i) weights.data()[i] = static_cast<float>(i % 61 - 30);
  const int64_t far = ((h - 2) * w + w - 2) * d + d - 2;  // the voxel whose neighbours are the last ones
  for (const std::string algorithm : {"direct", "winograd", "winograd4", "winograd4x4x4"}) {
    const vg::Conv3dAlgorithmGuard scope(algorithm);
    INFO(algorithm);
    const float most = algorithm == "winograd4" ? 1e-4F : 0.0F;  // the others are exact on these numbers
    std::fill_n(x.data(), n, 0.0F);
    x.data()[far * channels + 3] = 2;
    const auto weight = [&](int64_t tap, int64_t ci, int64_t co) {
      return weights.data()[(tap * channels + ci) * channels + co];
    };
    const auto check_neighbours = [&](const float* out, bool forward) {
      int wrong = 0;
      for (int64_t tap = 0; tap < 27; ++tap)  // input i contributes to output i + 1 - k
        for (int64_t c = 0; c < channels; ++c) {
          const int64_t k[3] = {tap / 9 - 1, tap / 3 % 3 - 1, tap % 3 - 1};
          const int64_t at = far + (forward ? -1 : 1) * ((k[0] * w + k[1]) * d + k[2]);
          wrong += !(std::abs(out[at * channels + c] - 2 * (forward ? weight(tap, 3, c) : weight(tap, c, 3))) <= most);
        }
      CHECK(wrong == 0);
    };
    vg::kernels::conv3d_forward<float>(p, x.data(), weights.data(), y.data());
    check_neighbours(y.data(), true);
    vg::kernels::conv3d_grad_input<float>(p, x.data(), weights.data(), y.data());
    check_neighbours(y.data(), false);
    std::fill_n(y.data(), n, 0.0F);
    y.data()[(far + 1) * channels + 5] = 3;  // uses x with tap k = i - o + 1 = 0 along D
    vg::kernels::conv3d_grad_weight<float>(p, x.data(), y.data(), dw.data());
    for (int64_t i = 0; i < 27 * channels * channels; ++i)
      if (!(std::abs(dw.data()[i] - (i == (12 * channels + 3) * channels + 5 ? 6.0F : 0.0F)) <= most))
        FAIL("dw[" << i << "] is " << dw.data()[i]);
  }
}
