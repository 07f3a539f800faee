// Compares the pointwise and per-channel kernels, with every kernel set that this CPU has, with plain loops in long
// double.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"

namespace {

namespace k = vg::kernels;
using std::int64_t;

template <class T>
std::vector<T> normal(int64_t n, unsigned seed, double mean = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<double> distribution(mean, 1);
  std::vector<T> v(static_cast<std::size_t>(n));
  for (T& a : v) a = static_cast<T>(distribution(random));
  return v;
}

template <class T>
void check_channels(int64_t rows, int64_t channels, double mean) {
  const auto n = static_cast<std::size_t>(channels);
  const std::vector<T> x = normal<T>(rows * channels, 1, mean), g = normal<T>(rows * channels, 2);
  std::vector<long double> s(n), sg(n), sgx(n), centered(n);
  std::vector<double> m(n);
  for (std::size_t i = 0; i < x.size(); ++i) s[i % n] += x[i];
  for (std::size_t c = 0; c < n; ++c) m[c] = rows == 0 ? 0.0 : static_cast<double>(s[c] / rows);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double xi = x[i], gi = g[i], d = xi - m[i % n];
    sg[i % n] += gi;
    sgx[i % n] += gi * xi;
    centered[i % n] += d * d;
  }
  std::vector<double> a(n, NAN), c(n, NAN), d(n, NAN), e(n, 1), f(n, 2);
  k::channel_sums(rows, channels, x.data(), a.data());
  k::channel_dots(rows, channels, g.data(), x.data(), c.data(), d.data());
  k::channel_moments(rows, channels, x.data(), m.data(), e.data(), f.data());
  const auto close = [](double got, long double want, double scale) {
    return std::abs(got - static_cast<double>(want)) <= 1e-13 * scale;
  };
  const double size = static_cast<double>(rows) * (1 + std::abs(mean));
  bool same = true;
  for (std::size_t i = 0; i < n; ++i)
    same = same && close(a[i], s[i], size) && close(c[i], sg[i], size) && close(d[i], sgx[i], size) &&
           close(e[i] - 1, s[i] - static_cast<long double>(m[i]) * rows, size) &&
           close(f[i] - 2, centered[i], 2 * static_cast<double>(rows) + 2);
  CHECK(same);
}

constexpr auto kinds = {k::Activation{}, k::Activation{k::Activation::Kind::relu},
                        k::Activation{k::Activation::Kind::leaky_relu, 0.25}};

double activated(const k::Activation& a, double v) {
  if (a.kind == k::Activation::Kind::relu) return v < 0 ? 0 : v;
  return a.kind == k::Activation::Kind::none || v > 0 ? v : v * a.slope;
}
double slope_at(const k::Activation& a, double v) {
  return a.kind == k::Activation::Kind::none || v > 0 ? 1 : a.kind == k::Activation::Kind::relu ? 0 : a.slope;
}

template <class T>
void check_maps(int64_t rows, int64_t channels) {
  const auto n = static_cast<std::size_t>(channels);
  const std::vector<T> x = normal<T>(rows * channels, 1), g = normal<T>(rows * channels, 2),
                       r = normal<T>(rows * channels, 6), centre = normal<T>(channels, 3),
                       factor = normal<T>(channels, 4), shift = normal<T>(channels, 5), slope = normal<T>(channels, 7),
                       fall = normal<T>(channels, 8);
  const auto at = [](const std::vector<T>& v, std::size_t i) { return static_cast<double>(v[i]); };
  for (const k::Activation& a : kinds) {
    const k::ChannelMap<T> map{rows, channels, centre.data(), factor.data(), shift.data(), a},
        shifts{rows, channels, nullptr, nullptr, shift.data(), a};
    std::vector<T> plain(x.size()), sum(x.size()), biased = x, masked(x.size()), dx(x.size()), constant(x.size());
    k::map_channels<T>(map, x.data(), nullptr, plain.data());
    k::map_channels<T>(map, x.data(), r.data(), sum.data());
    k::map_channels<T>(shifts, biased.data(), nullptr, biased.data());  // in place
    std::vector<double> sum_g(n, NAN), sum_gx(n, NAN), again(n, NAN), again_x(n, NAN);
    k::activation_grad_dots<T>(map, x.data(), g.data(), nullptr, masked.data(), sum_g.data(), sum_gx.data());
    k::activation_grad_dots<T>(map, x.data(), g.data(), nullptr, nullptr, again.data(), again_x.data());
    CHECK((sum_g == again && sum_gx == again_x));
    k::norm_grad<T>(map, slope.data(), fall.data(), x.data(), g.data(), dx.data());
    k::norm_grad<T>(map, nullptr, nullptr, x.data(), g.data(), constant.data());
    double worst = 0;
    const auto compare = [&](T got, double want) {
      worst = std::max(worst, std::abs(static_cast<double>(got) - want));
    };
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t c = i % n;
      sum_g[c] -= at(masked, i), sum_gx[c] -= at(masked, i) * at(x, i);
      const double centred = at(x, i) - at(centre, c), v = centred * at(factor, c) + at(shift, c);
      if (std::abs(v) < 1e-4) continue;  // too near to the kink
      compare(plain[i], activated(a, v));
      compare(sum[i], activated(a, v + at(r, i)));
      compare(biased[i], activated(a, at(x, i) + at(shift, c)));
      const double slope_g = at(g, i) * slope_at(a, v);
      compare(masked[i], slope_g);
      compare(constant[i], at(factor, c) * slope_g);
      compare(dx[i], at(factor, c) * slope_g - (centred * at(slope, c) + at(fall, c)));
    }
    CHECK(worst <= 100 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    const auto is_zero = [&](double v) { return std::abs(v) <= 1e-12 * static_cast<double>(rows); };
    CHECK((std::all_of(sum_g.begin(), sum_g.end(), is_zero) && std::all_of(sum_gx.begin(), sum_gx.end(), is_zero)));
  }
}

template <class T>
void check_pointwise(int64_t n) {
  std::vector<T> a = normal<T>(n, 1), b = normal<T>(n, 2);
  if (n > 3) a[2] = std::numeric_limits<T>::quiet_NaN();
  std::vector<T> t = b;
  k::accumulate(n, a.data(), t.data());
  const auto equal = [](T x, T y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  bool same = true;
  for (std::size_t i = 0; i < a.size(); ++i) same = same && equal(t[i], a[i] + b[i]);
  CHECK(same);
}

/// Gradients that read the sign from the result y: the same bits and sums whether they are stored (also with
/// non-temporal stores) or not.
template <class T>
void check_activated_dots(int64_t rows, int64_t channels) {
  const auto n = static_cast<std::size_t>(channels);
  std::vector<T> y = normal<T>(rows * channels, 1);
  const std::vector<T> g = normal<T>(rows * channels, 2), x = normal<T>(rows * channels, 3);
  if (y.size() > 3) y[2] = std::numeric_limits<T>::quiet_NaN();
  for (const k::Activation& kind : kinds) {
    std::vector<T> want(y.size());
    std::vector<long double> sums(n), dots(n);
    for (std::size_t i = 0; i < y.size(); ++i) {
      want[i] = static_cast<T>(static_cast<double>(g[i]) * slope_at(kind, static_cast<double>(y[i])));
      const long double v = want[i];
      sums[i % n] += v, dots[i % n] += v * x[i];
    }
    const auto check = [&](bool with_x, T* kept, bool non_temporal) {
      const k::ChannelMap<T> map{rows, channels, nullptr, nullptr, nullptr, kind, non_temporal};
      std::vector<double> a(n, NAN), b(n, NAN);
      k::activation_grad_dots<T>(map, with_x ? x.data() : nullptr, g.data(), y.data(), kept, a.data(),
                                 with_x ? b.data() : nullptr);
      double worst = 0;
      for (std::size_t c = 0; c < n; ++c) {
        worst = std::max(worst, std::abs(a[c] - static_cast<double>(sums[c])));
        if (with_x) worst = std::max(worst, std::abs(b[c] - static_cast<double>(dots[c])));
      }
      CHECK(worst <= 1e-12 * static_cast<double>(rows));
      if (kept != nullptr) CHECK(std::equal(want.begin(), want.end(), kept));
    };
    std::vector<T> room(y.size() + 64, T(7));
    const auto line = (64 - reinterpret_cast<std::uintptr_t>(room.data()) % 64) / sizeof(T);
    check(true, nullptr, false);
    check(false, nullptr, true);
    for (const std::size_t from : {line, line + 1})
      for (const bool non_temporal : {false, true}) {
        std::fill(room.begin(), room.end(), T(7));
        check(non_temporal, room.data() + from, non_temporal);
        CHECK(std::all_of(room.begin() + static_cast<std::ptrdiff_t>(from + y.size()), room.end(),
                          [](T v) { return v == T(7); }));
      }
  }
}

template <class T>
void check_gelu(double eps) {
  std::vector<T> x, g;
  for (double v = -9; v <= 9; v += 1.0 / 128) x.push_back(static_cast<T>(v)), g.push_back(static_cast<T>(2 - v / 8));
  std::vector<T> y(x.size()), dx(x.size());
  const auto n = static_cast<int64_t>(x.size());
  k::gelu<T>(n, x.data(), y.data());
  k::gelu_grad<T>(n, x.data(), g.data(), dx.data());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = static_cast<double>(x[i]), below = 0.5 * std::erfc(-v * std::sqrt(0.5)),
                 slope = below + v * std::exp(-v * v / 2) / std::sqrt(8 * std::atan(1.0)), far = v < -3 ? 10 : 1;
    if (v != 0) worst = std::max(worst, std::abs(static_cast<double>(y[i]) / (v * below) - 1) / far);
    worst = std::max(worst, std::abs(static_cast<double>(dx[i]) - static_cast<double>(g[i]) * slope) / 4);
  }
  CHECK(worst <= eps);
  const T edges[3] = {std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN(), T(-40)};
  T of_edges[3];
  k::gelu<T>(3, edges, of_edges);
  CHECK((of_edges[0] == edges[0] && std::isnan(of_edges[1]) && std::abs(of_edges[2]) < std::numeric_limits<T>::min()));
}

template <class T>
void check_nan_stays() {
  const T nan = std::numeric_limits<T>::quiet_NaN(), one = 1, zero = 0;
  for (const k::Activation& kind : kinds) {
    T y[2] = {};
    const T x[2] = {nan, one};
    const T ones[1] = {one}, zeros[1] = {zero};
    k::map_channels<T>({2, 1, zeros, ones, zeros, kind}, x, nullptr, y);
    CHECK((std::isnan(y[0]) && y[1] == one));
  }
}

}  // namespace

TEST_CASE("pointwise kernels", "[kernels][pointwise]") {
  for (const std::string& set : vg::available_kernel_sets()) {
    const vg::KernelSetGuard scope(set);
    INFO(set);
    for (const int64_t n : {0, 1, 3, 15, 16, 17, 64, 1001}) {
      check_pointwise<float>(n);
      check_pointwise<double>(n);
    }
    check_gelu<float>(6e-7);
    check_gelu<double>(1e-14);
    check_nan_stays<float>();
    check_nan_stays<double>();
  }
}

TEST_CASE("per-channel kernels", "[kernels][pointwise]") {
  for (const std::string& set : vg::available_kernel_sets()) {
    const vg::KernelSetGuard scope(set);
    for (const int64_t channels : {1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 24, 31, 32, 33, 48, 64, 65, 100, 129, 200})
      for (const int64_t rows : {0, 1, 2, 5, 33, 200}) {
        INFO(set << " " << rows << "x" << channels);
        check_maps<float>(rows, channels);
        check_maps<double>(rows, channels);
        check_activated_dots<float>(rows, channels);
        check_activated_dots<double>(rows, channels);
        for (const double mean : {0.0, 1e4}) {
          check_channels<float>(rows, channels, mean);
          check_channels<double>(rows, channels, mean);
        }
      }
    for (const int64_t channels : {1024, 2500, 4100}) {  // rows that are divided
      check_maps<float>(3, channels);
      check_maps<double>(3, channels);
      check_activated_dots<float>(3, channels);
      check_activated_dots<double>(3, channels);
    }
  }
}
