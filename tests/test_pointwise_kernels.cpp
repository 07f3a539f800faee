// The pointwise and per-channel kernels on every kernel set that this CPU has, against plain loops in long double.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "framework/kernels/kernel_set.hpp"
#include "framework/kernels/pointwise.hpp"

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
  std::vector<long double> s(n), q(n), sg(n), sgx(n), centered(n);
  std::vector<double> m(n);
  for (std::size_t i = 0; i < x.size(); ++i) s[i % n] += x[i];
  for (std::size_t c = 0; c < n; ++c) m[c] = rows == 0 ? 0.0 : static_cast<double>(s[c] / rows);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double xi = x[i], gi = g[i], d = xi - m[i % n];
    q[i % n] += xi * xi;
    sg[i % n] += gi;
    sgx[i % n] += gi * xi;
    centered[i % n] += d * d;
  }
  std::vector<double> a(n, NAN), b(n, NAN), c(n, NAN), d(n, NAN), e(n, NAN);
  k::channel_sums(rows, channels, x.data(), a.data(), b.data());
  k::channel_dots(rows, channels, g.data(), x.data(), c.data(), d.data());
  k::channel_centered_squares(rows, channels, x.data(), m.data(), e.data());
  const auto close = [](double got, long double want, double scale) {
    return std::abs(got - static_cast<double>(want)) <= 1e-13 * scale;
  };
  const double size = static_cast<double>(rows) * (1 + std::abs(mean));
  bool same = true;
  for (std::size_t i = 0; i < n; ++i)
    same = same && close(a[i], s[i], size) && close(b[i], q[i], size * (1 + std::abs(mean))) &&
           close(c[i], sg[i], size) && close(d[i], sgx[i], size) &&
           close(e[i], centered[i], 2 * static_cast<double>(rows));
  CHECK(same);
}

template <class T>
void check_affine(int64_t rows, int64_t channels) {
  const auto n = static_cast<std::size_t>(channels);
  const std::vector<T> x = normal<T>(rows * channels, 1), g = normal<T>(rows * channels, 2), a = normal<T>(channels, 3),
                       b = normal<T>(channels, 4), c = normal<T>(channels, 5);
  std::vector<T> y(x.size()), dx(x.size()), in_place = x;
  k::scale_shift(rows, channels, x.data(), a.data(), b.data(), y.data());
  k::scale_shift(rows, channels, in_place.data(), a.data(), b.data(), in_place.data());
  k::norm_backward(rows, channels, g.data(), x.data(), a.data(), b.data(), c.data(), dx.data());
  const double eps = 8 * static_cast<double>(std::numeric_limits<T>::epsilon());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = static_cast<double>(x[i]) * static_cast<double>(a[i % n]) + static_cast<double>(b[i % n]);
    const double grad = static_cast<double>(a[i % n]) * static_cast<double>(g[i]) +
                        static_cast<double>(b[i % n]) * static_cast<double>(x[i]) + static_cast<double>(c[i % n]);
    worst = std::max(
        {worst, std::abs(static_cast<double>(y[i]) - want) / 10, std::abs(static_cast<double>(dx[i]) - grad) / 20});
  }
  CHECK(worst <= eps);
  CHECK(in_place == y);
}

template <class T>
void check_pointwise(int64_t n) {
  std::vector<T> a = normal<T>(n, 1), b = normal<T>(n, 2);
  if (n > 3) a[2] = std::numeric_limits<T>::quiet_NaN();
  std::vector<T> r(a.size()), d(a.size()), s(a.size()), t = b;
  k::relu(n, a.data(), r.data());
  k::relu_grad(n, a.data(), b.data(), d.data());
  k::add(n, a.data(), b.data(), s.data());
  k::accumulate(n, a.data(), t.data());
  const auto equal = [](T x, T y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  bool same = true;
  for (std::size_t i = 0; i < a.size(); ++i)
    same = same &&
           equal(r[i], std::isnan(a[i]) ? a[i]
                       : a[i] > 0       ? a[i]
                                        : T(0)) &&
           d[i] == (a[i] > 0 ? b[i] : T(0)) && equal(s[i], a[i] + b[i]) && equal(t[i], a[i] + b[i]);
  CHECK(same);
}

}  // namespace

TEST_CASE("pointwise kernels", "[kernels][pointwise]") {
  for (const std::string& set : vg::available_kernel_sets()) {
    const vg::KernelSetScope scope(set);
    INFO(set);
    for (const int64_t n : {0, 1, 3, 15, 16, 17, 64, 1001}) {
      check_pointwise<float>(n);
      check_pointwise<double>(n);
    }
  }
}

TEST_CASE("per-channel kernels", "[kernels][pointwise]") {
  for (const std::string& set : vg::available_kernel_sets()) {
    const vg::KernelSetScope scope(set);
    for (const int64_t channels : {1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 24, 31, 32, 33, 48, 64, 65, 100, 129, 200})
      for (const int64_t rows : {0, 1, 2, 5, 33, 200}) {
        INFO(set << " " << rows << "x" << channels);
        check_affine<float>(rows, channels);
        check_affine<double>(rows, channels);
        for (const double mean : {0.0, 1e4}) {
          check_channels<float>(rows, channels, mean);
          check_channels<double>(rows, channels, mean);
        }
      }
  }
}
