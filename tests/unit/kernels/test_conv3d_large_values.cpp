// A finite value of any size reaches only the outputs that depend on it. The error of all others stays within 10 times
// that of the direct kernels, with every algorithm and kernel set.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/kernels/conv3d_cases.hpp"
#include "tests/support/kernels/conv3d_check.hpp"
#include "tests/support/kernels/naive_conv3d.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/cost_model.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace {

using namespace vg::test;
using std::int64_t;
using vg::kernels::Pass;

struct Operands {
  std::vector<double> x, w, dy;
};

Operands normal_operands(const Conv3dProblem& p) {
  const auto normal = [](int64_t n, std::uint64_t seed) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<double> numbers;
    std::vector<double> v(static_cast<std::size_t>(n));
    for (double& a : v) a = static_cast<float>(numbers(generator));
    return v;
  };
  return {normal(x_size(p), 1), normal(w_size(p), 2), normal(y_size(p), 3)};
}

/// The three passes in T with the current algorithm and kernel set.
template <class T>
NaiveConv3d run(const Conv3dProblem& p, const Operands& of) {
  return run_passes<T>(p, of.x, of.w, of.dy, vg::kernels::conv3d_forward<T>, vg::kernels::conv3d_grad_input<T>,
                       vg::kernels::conv3d_grad_weight<T>);
}

template <class T>
NaiveConv3d run_directly(const Conv3dProblem& p, const Operands& of) {
  const vg::Conv3dAlgorithmGuard scope("direct");
  return run<T>(p, of);
}

/// Calls f(position along each axis, index of the first element) for each voxel.
template <class F>
void each_voxel(int64_t batch, const int64_t (&size)[3], int64_t channels, const F& f) {
  std::size_t at = 0;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t h = 0; h < size[0]; ++h)
      for (int64_t w = 0; w < size[1]; ++w)
        for (int64_t d = 0; d < size[2]; ++d, at += static_cast<std::size_t>(channels))
          f(std::array<int64_t, 3>{h, w, d}, at);
}

/// The voxels that have the large value.
struct Region {
  const char* name;
  bool (*has)(const std::array<int64_t, 3>& at, const int64_t (&size)[3]);
};
constexpr Region regions[] = {
    {"half along H", [](const auto& at, const auto& size) { return at[0] >= (size[0] - 1) / 2; }},
    {"half along W", [](const auto& at, const auto& size) { return at[1] >= size[1] / 2 - 1; }},
    {"half along D", [](const auto& at, const auto& size) { return at[2] >= (size[2] + 2) / 2; }},
    {"half across",
     [](const auto& at, const auto& size) { return at[0] + at[1] + at[2] > (size[0] + size[2]) * 3 / 4; }},
    {"one voxel",
     [](const auto& at, const auto& size) {
       return at == std::array{size[0] / 2, size[1] / 2, size[2] / 2};
     }},
    {"the border", [](const auto& at, const auto&) { return at[0] == 0; }},
};

/// 1 in the region, 0 outside, for each element.
std::vector<double> mask_of(const Region& region, int64_t batch, const int64_t (&size)[3], int64_t channels) {
  std::vector<double> mask(static_cast<std::size_t>(batch * size[0] * size[1] * size[2] * channels));
  each_voxel(batch, size, channels, [&](const auto& at, std::size_t first) {
    if (region.has(at, size)) std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(first), channels, 1.0);
  });
  return mask;
}

std::vector<double> filled(std::vector<double> v, const std::vector<double>& mask, double value) {
  for (std::size_t i = 0; i < v.size(); ++i)
    if (mask[i] != 0) v[i] = value;
  return v;
}

std::vector<double> ones(int64_t n) { return std::vector<double>(static_cast<std::size_t>(n), 1.0); }

/// The largest errors of the results that do not depend on the mask.
struct Errors {
  double algorithm = 0, direct = 0, rms = 0;
  std::size_t count = 0;
  Errors(const std::vector<double>& got, const std::vector<double>& by_direct, const std::vector<double>& exact,
         const std::vector<double>& met) {
    for (std::size_t i = 0; i < exact.size(); ++i) {
      if (met[i] != 0) continue;
      const double error = std::abs(got[i] - exact[i]);
      if (!(error <= algorithm)) algorithm = error;  // a NaN stays
      direct = std::max(direct, std::abs(by_direct[i] - exact[i]));
      rms += exact[i] * exact[i];
      ++count;
    }
    rms = std::sqrt(rms / static_cast<double>(std::max<std::size_t>(count, 1)));
  }
  /// With few outputs the largest error of the direct kernels may be small by chance, so the bound is at least three
  /// roundings of the rms.
  bool are_small() const { return count == 0 || algorithm <= 10 * std::max(direct, 1.8e-7 * rms); }
};

/// For each output of each pass, how many masked elements of x or dy it depends on.
NaiveConv3d met_by(const Conv3dProblem& p, const std::vector<double>& x_mask, const std::vector<double>& dy_mask) {
  return {run_directly<double>(p, {x_mask, ones(w_size(p)), ones(y_size(p))}).y,
          run_directly<double>(p, {ones(x_size(p)), ones(w_size(p)), dy_mask}).dx,
          {}};
}

bool is_strided(const Conv3dProblem& p) { return vg::kernels::winograd::is_strided(p, Pass::forward); }

/// The results of the passes by name.
using Results = std::vector<std::pair<std::string, std::vector<double>>>;

/// Calls f(direct, got) with the results of run_one() by the direct kernels and by every other algorithm, for every
/// kernel set.
template <class Run, class F>
void each_variant(const Conv3dProblem& p, const Run& run_one, const F& f) {
  using vg::kernels::winograd::Scheme;
  using vg::kernels::winograd::WinogradTile;
  for (const std::string& set : vg::available_kernel_sets()) {
    const vg::KernelSetGuard set_scope(set);
    const auto by = [&](const char* name) {
      const vg::Conv3dAlgorithmGuard algorithm_scope(name);
      return run_one();
    };
    const Results direct = by("direct");
    for (const char* const algorithm : {"auto", "winograd", "winograd4", "winograd4x4x4"}) {
      const std::string name = algorithm;
      if (name == "winograd4" && (is_strided(p) || !Scheme(p, WinogradTile::f4_depth).has_long_tiles())) continue;
      if (name == "winograd4x4x4" && (is_strided(p) || !Scheme(p, WinogradTile::f4_complex).has_wide_tiles())) continue;
      INFO("VOXGRAD_KERNELS=" << set << " VOXGRAD_CONV3D=" << algorithm);
      f(direct, by(algorithm));
    }
  }
}

/// Checks forward and grad_input with a large value in a region of x and of dy. Checks grad_weight where no product has
/// the value, because dy is zero there or, at the border, because only padding separates some taps from it.
void check_region(const Conv3dProblem& p, const Operands& normal, const Region& region, double value) {
  const auto x_mask = mask_of(region, p.batch, p.in_size, p.in_channels),
             dy_mask = mask_of(region, p.batch, p.out_size, p.out_channels);
  const NaiveConv3d met = met_by(p, x_mask, dy_mask);
  const Operands large = {filled(normal.x, x_mask, value), normal.w, filled(normal.dy, dy_mask, value)},
                 border = {large.x, normal.w, normal.dy};
  const std::vector<double> masked = filled(normal.dy, met.y, 0), none(static_cast<std::size_t>(w_size(p)));
  const bool is_border = std::string(region.name) == "the border";
  const auto border_met =
      is_border ? run_directly<double>(p, {x_mask, normal.w, ones(y_size(p))}).dw : std::vector<double>();
  const auto all = [&](auto zero) -> Results {
    using T = decltype(zero);
    NaiveConv3d r = run<T>(p, large);
    Results results = {{"forward", std::move(r.y)}, {"grad_input", std::move(r.dx)}};
    results.emplace_back("grad_weight, masked", run<T>(p, {large.x, normal.w, masked}).dw);
    if (is_border) results.emplace_back("grad_weight, border", run<T>(p, border).dw);
    return results;
  };
  const std::vector<std::vector<double>> all_met = {met.y, met.dx, none, border_met};
  const Results exact = [&] {
    const vg::Conv3dAlgorithmGuard scope("direct");
    return all(0.0);
  }();
  INFO("value " << value << " " << region.name << " of " << to_line(p));
  each_variant(
      p, [&] { return all(0.0F); },
      [&](const Results& direct, const Results& got) {
        for (std::size_t i = 0; i < got.size(); ++i) {
          const Errors errors(got[i].second, direct[i].second, exact[i].second, all_met[i]);
          INFO(got[i].first << ": " << errors.algorithm << ", direct " << errors.direct << ", rms " << errors.rms);
          CHECK(errors.are_small());
        }
      });
}

const double large_values[] = {-1000, -32768, 1e6, 1e20, 1e37};

/// With `every`, checks each value in each region, otherwise each value in one region.
void check_large_values(const Conv3dProblem& p, bool every = false) {
  const Operands normal = normal_operands(p);
  std::size_t next = std::size(regions) - 1;
  for (const double value : large_values)
    if (every) {
      for (const Region& region : regions) check_region(p, normal, region, value);
    } else {
      check_region(p, normal, regions[next++ % std::size(regions)], value);
    }
}

}  // namespace

TEST_CASE("conv3d: a large value reaches exactly the outputs that depend on it",
          "[conv3d][kernels][winograd][large-values]") {
  const Conv3dProblem dense = cubic(1, {7, 10, 9}, 8, 8, 3, 1, 1);
  check_large_values(dense, true);
  check_large_values(cubic(2, {6, 10, 9}, 16, 24, 3, 1, 0));                               // VALID
  check_large_values(with(dense, {1, 1, 1}, {2, 1, 2}, {1, 1, 1}, {2, 1, 2}, {2, 1, 2}));  // dilated
  check_large_values(cubic(1, {9, 8, 13}, 16, 32, 3, 1, 1, 2));                            // groups
  check_large_values(with_kernel(dense, std::array<int64_t, 3>{1, 3, 3}));                 // planes
}

TEST_CASE("conv3d: a large value reaches exactly its outputs: five taps, strides, transposes, few tiles",
          "[conv3d][kernels][winograd][large-values]") {
  const Conv3dProblem five = cubic(1, {6, 7, 11}, 8, 8, 5, 1, 2);
  check_large_values(five);
  check_large_values(with_kernel(five, std::array<int64_t, 3>{5, 5, 3}));
  check_large_values(cubic(1, {8, 9, 14}, 8, 16, 3, 2, 1));  // its grad_input is the transpose
  check_large_values(with(cubic(1, {4, 5, 6}, 8, 8, 3, 1, 1), {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {2, 2, 2}));
  check_large_values(cubic(1, {4, 4, 4}, 100, 96, 3, 1, 1));  // few tiles
}

// If the first tile fails its check, the second attempt is F(2, 3), which for this problem could be the panel loop.
// That reads a single tensor: read as one, both halves would have the large value in the middle, where every tap uses
// it.
TEST_CASE("conv3d: backward-weights of several tensors, one of which has a large value",
          "[conv3d][kernels][winograd][large-values]") {
  const Conv3dProblem p = cubic(1, {5, 5, 6}, 128, 112, 3, 1, 1);
  const Operands normal = normal_operands(p);
  std::vector<float> x(normal.x.begin(), normal.x.end()), dy(normal.dy.begin(), normal.dy.end());
  std::fill_n(x.end() - 128, 64, 1e30F);  // used by no tap with index 0
  std::vector<float> halves(x.size()), dw(normal.w.size()), want(normal.w.size());
  float* const half[2] = {halves.data(), halves.data() + x.size() / 2};
  for (std::size_t at = 0; at < x.size(); at += 64) std::copy_n(x.data() + at, 64, half[at / 64 % 2] + at / 128 * 64);
  const int64_t channels[2] = {64, 64};
  {
    const vg::Conv3dAlgorithmGuard scope("direct");
    vg::kernels::conv3d_grad_weight(p, x.data(), dy.data(), want.data());
  }
  for (const char* algorithm : {"winograd", "winograd4", "winograd4x4x4"}) {
    const vg::Conv3dAlgorithmGuard scope(algorithm);
    if (!vg::kernels::conv3d_supports_concat<float>(p, Pass::grad_weight, channels, 2)) continue;
    INFO(algorithm);
    vg::kernels::conv3d_grad_weight_concat<float>(p, {{half[0], half[1]}, {64, 64}, 2}, dy.data(), dw.data());
    double error = 0;
    for (std::size_t i = 0; i < dw.size(); ++i) {
      const double size = std::max(1.0, std::abs(static_cast<double>(want[i])));  // ordinary sums have about 13
      error = std::max(error, std::abs(static_cast<double>(dw[i]) - static_cast<double>(want[i])) / size);
    }
    CHECK(error < 1e-3);
  }
}
