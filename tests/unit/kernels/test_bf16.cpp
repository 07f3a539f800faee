// bf16: the conversion, and the passes of Conv3d with every bf16 kernel set, compared with the naive loop on rounded
// operands. With VOXGRAD_CONV3D_CASE="line", as a failure prints it, the random test runs that problem alone.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/kernels/conv3d_cases.hpp"
#include "tests/support/kernels/conv3d_check.hpp"
#include "tests/support/kernels/naive_conv3d.hpp"
#include "tests/support/run_self.hpp"
#include "tests/support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/framework/kernels/dispatch/bf16_set.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

namespace {

using namespace vg::test;
using std::int64_t;
using vg::kernels::from_bf16;
using vg::kernels::to_bf16;

/// The three passes with the current kernel set.
NaiveConv3d run(const Conv3dProblem& p, const std::vector<double>& x, const std::vector<double>& w,
                const std::vector<double>& dy) {
  const auto forward = [](const auto&... operands) { vg::kernels::conv3d_forward_bf16(operands...); };
  return run_passes<float>(p, x, w, dy, forward, vg::kernels::conv3d_grad_input_bf16,
                           vg::kernels::conv3d_grad_weight_bf16);
}

/// The emulated set uses f32's algorithms, of which only the direct one sums exactly.
template <class F>
void on_each_set(const Conv3dProblem& p, const F& f) {
  const vg::Conv3dAlgorithmGuard direct("direct");
  for (const std::string& set : vg::available_bf16_kernel_sets()) {
    const vg::Bf16KernelSetGuard scope(set);
    INFO("VOXGRAD_BF16_KERNELS=" << set << " VOXGRAD_CONV3D_CASE=\"" << to_line(p) << "\"");
    f();
  }
}

/// On eighths of integers, which bf16 represents exactly, every set equals the naive loop.
void check_problem(const Conv3dProblem& p, std::uint64_t seed = 1) {
  const auto x = small_integers(x_size(p), seed), w = small_integers(w_size(p), seed + 1),
             dy = small_integers(y_size(p), seed + 2);
  const NaiveConv3d want = naive_conv3d(p, x, w, dy);
  on_each_set(p, [&] { check_equal(run(p, x, w, dy), want); });
}

std::vector<double> rounded(std::vector<double> v) {
  for (double& a : v) a = static_cast<double>(from_bf16(to_bf16(static_cast<float>(a))));
  return v;
}

std::vector<double> magnitudes(std::vector<double> v) {
  for (double& a : v) a = std::abs(a);
  return v;
}

/// The largest difference, divided by the sum of the magnitudes of the products.
double error(const std::vector<double>& got, const std::vector<double>& want, const std::vector<double>& magnitude) {
  double most = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    most = std::max(most, std::abs(got[i] - want[i]) / std::max(magnitude[i], 1e-30));
  return most;
}

void check_reals(const Conv3dProblem& p, std::uint64_t seed = 1) {
  const auto x = reals(x_size(p), seed), w = reals(w_size(p), seed + 1), dy = reals(y_size(p), seed + 2);
  const auto xr = rounded(x), wr = rounded(w), dyr = rounded(dy);
  const NaiveConv3d want = naive_conv3d(p, xr, wr, dyr),
                    size = naive_conv3d(p, magnitudes(xr), magnitudes(wr), magnitudes(dyr));
  on_each_set(p, [&] {
    const NaiveConv3d got = run(p, x, w, dy);
    CHECK(error(got.y, want.y, size.y) < 4e-6);
    CHECK(error(got.dx, want.dx, size.dx) < 4e-6);
    CHECK(error(got.dw, want.dw, size.dw) < 4e-6);
  });
}

/// One problem of each class that the driver treats differently.
std::vector<Conv3dProblem> classes() {
  return {cubic(1, {4, 6, 16}, 16, 16, 3, 1, 1),    cubic(1, {4, 5, 7}, 32, 64, 3, 2, 1),
          cubic(2, {5, 6, 19}, 5, 7, 3, 1, 1),      cubic(1, {5, 6, 18}, 1, 16, 3, 1, 1),
          cubic(1, {5, 6, 18}, 16, 1, 3, 1, 1),     cubic(2, {3, 4, 5}, 19, 33, 1, 1, 0),
          cubic(1, {5, 6, 9}, 20, 20, 3, 1, 1, 20), cubic(1, {5, 6, 9}, 6, 9, 3, 1, 1, 3),
          cubic(1, {4, 5, 9}, 34, 68, 2, 1, 0, 2),  cubic(1, {4, 5, 3}, 41, 35, 3, 1, 1)};
}

}  // namespace

TEST_CASE("bf16: rounding to nearest even", "[bf16]") {
  for (std::uint32_t high = 0; high < 65536; ++high) {
    const auto bits = static_cast<std::uint16_t>(high);
    const auto number = [&](std::uint32_t low) { return std::bit_cast<float>(high << 16 | low); };
    if (std::isnan(from_bf16(bits))) {
      CHECK(std::isnan(from_bf16(to_bf16(number(0)))));
      CHECK(std::isnan(from_bf16(to_bf16(number(1)))));
      CHECK(std::isnan(from_bf16(to_bf16(number(0xffff)))));
      continue;
    }
    REQUIRE(to_bf16(number(0)) == bits);
    if (std::isinf(from_bf16(bits))) continue;             // other lower bits would make it a NaN
    const auto up = static_cast<std::uint16_t>(high + 1);  // beyond the largest number this is an infinity
    REQUIRE(to_bf16(number(1)) == bits);
    REQUIRE(to_bf16(number(0x7fff)) == bits);
    REQUIRE(to_bf16(number(0x8000)) == (high % 2 == 0 ? bits : up));
    REQUIRE(to_bf16(number(0x8001)) == up);
    REQUIRE(to_bf16(number(0xffff)) == up);
  }
  CHECK(std::isnan(from_bf16(to_bf16(std::bit_cast<float>(0x7f800001U)))));  // all of its payload is in the lower half
}

TEST_CASE("bf16: each set rounds its operands like that", "[bf16][kernels]") {
  // y = x * 1 by a 1x1x1 convolution from one channel to one, and of pairs of channels
  std::vector<double> x;
  for (std::uint32_t high = 0; high < 65536; high += 3)
    for (const std::uint32_t low : {0U, 1U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU}) {
      const float v = std::bit_cast<float>(high << 16 | low);
      if (std::isfinite(from_bf16(to_bf16(v))) && std::abs(v) > 1e-37F) x.push_back(static_cast<double>(v));
    }
  x.resize(x.size() / 2 * 2);
  const auto n = static_cast<int64_t>(x.size());
  const auto want = rounded(x);
  for (const Conv3dProblem& p : {cubic(1, {1, 1, n}, 1, 1, 1, 1, 0), cubic(1, {1, 1, n / 2}, 2, 2, 1, 1, 0)}) {
    const std::vector<double> w =
        p.in_channels == 1 ? std::vector<double>{1} : std::vector<double>{1, 0, 0, 1};  // the identity
    on_each_set(p, [&] {
      Buffer<float> xb(x), wb(w), y(n);
      vg::kernels::conv3d_forward_bf16(p, xb.data(), wb.data(), y.data());
      CHECK(first_difference(y.values(), want) == -1);
    });
  }
}

TEST_CASE("bf16: small integers are exact for any shape", "[bf16][kernels]") {
  for (const Conv3dProblem& p : classes()) check_problem(p);
  for (const auto& [ci, co] :
       std::vector<std::pair<int64_t, int64_t>>{{2, 16}, {3, 5}, {17, 16}, {33, 17}, {48, 40}, {66, 31}})
    check_problem(cubic(1, {4, 6, 15}, ci, co, 3, 1, 1));
  check_problem(cubic(1, {8, 6, 8}, 32, 64, 2, 2, 0));
  check_problem(cubic(1, {1, 1, 2500}, 3, 5, 1, 1, 0));
  check_problem(cubic(1, {1, 1, 2500}, 70, 35, 1, 1, 0));
  check_problem(cubic(2, {7, 19, 31}, 6, 20, 1, 1, 0));
  check_problem(cubic(1, {2, 3, 1300}, 2, 3, 3, 2, 1));
  check_problem(cubic(1, {4, 4, 4}, 70, 130, 3, 1, 1));
  check_problem(cubic(1, {5, 5, 1}, 16, 16, 3, 1, 1));  // pairs along another axis
  check_problem(cubic(2, {3, 9, 3}, 24, 20, 3, 1, 1));
  check_problem(cubic(1, {7, 6, 3}, 8, 8, 3, 3, 0));   // output extent 1 with a stride
  check_problem(cubic(2, {9, 9, 9}, 6, 20, 2, 4, 0));  // stride beyond the kernel
}

TEST_CASE("bf16: dilations, strides, odd pads and empty sizes", "[bf16][kernels]") {
  const Conv3dProblem p = cubic(2, {4, 5, 6}, 3, 5, 3, 1, 1), one = cubic(2, {4, 5, 6}, 1, 5, 3, 1, 1);
  for (const Conv3dProblem& q : {p, one}) {
    check_problem(with(q, {2, 3, 2}, {2, 1, 3}, {3, 2, 1}, {3, 0, -1}, {3, 2, 4}));
    check_problem(with(q, {1, 3, 2}, {2, 1, 3}, {3, 2, 1}, {3, 0, -1}, {3, 2, 4}));
    check_problem(with(q, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {9, 8, 7}, {10, 8, 9}));     // beyond the kernel
    check_problem(with(q, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {-1, -2, -1}, {0, 0, -1}));  // crops
    check_problem(with(q, {4, 4, 4}, {2, 2, 2}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}));      // outputs without an input
    check_problem(with(q, {1, 1, 1}, {100, 9, 50}, {1, 1, 1}, {100, 9, 50}, {100, 9, 50}));
    check_problem(with(q, {1, 1, 1}, {1, 1, 1}, {5, 7, 9}, {0, 0, 0}, {0, 0, 0}));  // stride beyond the kernel
    check_problem(with(q, {1, 1, 1}, {2, 4, 6}, {4, 5, 6}, {2, 4, 6}, {2, 4, 6}));  // as long as the axis
  }
  check_problem(cubic(0, {4, 5, 6}, 3, 5, 3, 1, 1));  // dw is zero
  Conv3dProblem e = p;
  e.out_size[1] = 0;
  check_problem(e);
  check_problem(cubic(2, {4, 0, 6}, 3, 5, 3, 1, 2));  // y is zero
}

TEST_CASE("bf16: random problems", "[bf16][kernels]") {
  if (const char* line = std::getenv("VOXGRAD_CONV3D_CASE")) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) check_problem(from_line(line), seed);
    return;
  }
  for (std::uint64_t seed = 1; seed <= 300; ++seed) check_problem(random_problem(seed), seed);
  for (std::uint64_t seed = 301; seed <= 330; ++seed) check_reals(random_problem(seed), seed);
}

TEST_CASE("bf16: reals are within the error of a float sum of the rounded products", "[bf16][kernels]") {
  for (const Conv3dProblem& p : classes()) check_reals(p);
  check_reals(cubic(1, {6, 7, 9}, 96, 33, 3, 1, 1));
}

TEST_CASE("bf16: the same bits for any number of threads", "[bf16][kernels][threads][bits]") {
  for (const Conv3dProblem& p : {cubic(1, {8, 12, 32}, 16, 16, 3, 1, 1), cubic(2, {6, 10, 20}, 5, 33, 3, 2, 1),
                                 cubic(1, {4, 4, 4}, 64, 96, 3, 1, 1), cubic(1, {8, 12, 40}, 24, 24, 3, 1, 1, 24),
                                 cubic(1, {8, 12, 40}, 1, 16, 3, 1, 1), cubic(3, {8, 12, 41}, 16, 8, 1, 1, 0),
                                 cubic(1, {8, 12, 40}, 16, 2, 3, 1, 1)}) {
    const auto x = reals(x_size(p), 1), w = reals(w_size(p), 2), dy = reals(y_size(p), 3);
    on_each_set(p, [&] {
      const ThreadsGuard one_thread(1);
      const NaiveConv3d one = run(p, x, w, dy);
      for (const int threads : {2, 3}) {
        const ThreadsGuard scope(threads);
        check_equal(run(p, x, w, dy), one);
      }
    });
  }
}

TEST_CASE("bf16: a NaN or an infinity reaches exactly the outputs that depend on it", "[bf16][kernels]") {
  for (const double special : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (const Conv3dProblem& p : classes())
      for (const int where : {0, 1}) {  // in the middle, and at the edge, where half of a pair is outside
        auto x = small_integers(x_size(p), 1), w = small_integers(w_size(p), 2), dy = small_integers(y_size(p), 3);
        if (where == 0) {
          x[x.size() / 2] = dy[dy.size() / 2] = special;
        } else {
          x.front() = dy.back() = w.front() = special;
        }
        const NaiveConv3d want = naive_conv3d(p, x, w, dy);
        on_each_set(p, [&] {
          INFO("value " << special << " at " << where);
          check_equal(run(p, x, w, dy), want);
        });
      }
}

TEST_CASE("bf16 kernel sets: a forced set is used", "[bf16][kernels]") {
  const auto available = vg::available_bf16_kernel_sets();
  CHECK(std::count(available.begin(), available.end(), "emulated") == 1);
  CHECK(std::count(available.begin(), available.end(), "portable") == 1);
  for (const std::string& name : available) {
    const std::string before = vg::bf16_kernel_set();
    {
      const vg::Bf16KernelSetGuard scope(name);
      CHECK(vg::bf16_kernel_set() == name);
    }
    CHECK(vg::bf16_kernel_set() == before);
  }
  {
    const vg::Bf16KernelSetGuard none("");
    for (const std::string& set : vg::available_kernel_sets()) {
      const vg::KernelSetGuard scope(set);
      CHECK(vg::bf16_kernel_set() == (set == "avx512" ? available.front() : "emulated"));
    }
  }
  CHECK_THROWS_AS(vg::use_bf16_kernel_set("bf17"), vg::ValueError);
  CHECK_THROWS_WITH(vg::use_bf16_kernel_set("bf17"), Catch::Contains("bf17") && Catch::Contains("emulated"));
}

// The next test runs this in a new process, because the environment is read at the first use.
TEST_CASE("bf16 kernel sets: print the current set", "[.bf16-kernel-set-of-environment]") {
  try {
    std::printf("<%s>\n", vg::bf16_kernel_set().c_str());
  } catch (const vg::ValueError& e) {
    std::printf("<ValueError: %s>\n", e.what());
  }
}

TEST_CASE("bf16 kernel sets: VOXGRAD_BF16_KERNELS", "[bf16][kernels]") {
  const auto set_with = [](const std::string& variables) {
    return run_self(variables, "[.bf16-kernel-set-of-environment]");
  };
  for (const std::string& name : vg::available_bf16_kernel_sets())
    CHECK_THAT(set_with("VOXGRAD_BF16_KERNELS=" + name), Catch::Contains("<" + name + ">"));
  CHECK_THAT(set_with("VOXGRAD_BF16_KERNELS= VOXGRAD_KERNELS=portable"), Catch::Contains("<emulated>"));
  CHECK_THAT(set_with("VOXGRAD_BF16_KERNELS=bf17"),
             Catch::Contains("<ValueError: ") && Catch::Contains("bf17") && Catch::Contains("emulated"));
}
