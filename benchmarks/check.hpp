// Checks a sample of the elements of a pass's result against sums in double, from the definition in problem.hpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace bench {

enum class Pass { forward, grad_input, grad_weight };
inline constexpr const char* pass_names[] = {"forward", "grad_input", "grad_weight"};

template <class T>
struct Tensors {
  const T *x, *w, *y;  ///< in the layouts of problem.hpp; the passes compute y, x and w
};

struct Error {
  double largest;    ///< difference from the f64 result, divided by the rms of the results
  double tolerance;  ///< the largest error that rounding explains
};

/// Positions along one axis: an output o, a tap k and the input i that they use.
struct Meeting {
  std::int64_t o, k, i;
};

/// All triples of an axis that contain the positions in `fixed` (-1: any).
inline std::vector<Meeting> meetings(const vg::kernels::Conv3dProblem& p, int a, Meeting fixed) {
  std::vector<Meeting> all;
  const std::int64_t o0 = std::max<std::int64_t>(fixed.o, 0), k0 = std::max<std::int64_t>(fixed.k, 0);
  for (std::int64_t o = o0; o < (fixed.o < 0 ? p.out_size[a] : o0 + 1); ++o)
    for (std::int64_t k = k0; k < (fixed.k < 0 ? p.kernel_size[a] : k0 + 1); ++k) {
      const std::int64_t at = o * p.stride[a] - p.pad[a] + k * p.rhs_dilation[a], i = at / p.lhs_dilation[a];
      if (at < 0 || at % p.lhs_dilation[a] != 0 || i >= p.in_size[a] || (fixed.i >= 0 && fixed.i != i)) continue;
      all.push_back({o, k, i});
    }
  return all;
}

template <class T>
class Checker {
 public:
  Checker(const vg::kernels::Conv3dProblem& p, const Tensors<T>& t) : p_(p), t_(t) {}

  Error check(Pass pass) {
    std::vector<double> got, want;
    double summands = 1;
    const std::int64_t n = samples(pass);
    for (sample_ = 0; sample_ < n; ++sample_) {
      terms_ = 0;
      const Sample s = draw(pass);
      got.push_back(static_cast<double>(s.got));
      want.push_back(s.want);
      summands = std::max(summands, terms_);
    }
    return compare(got, want, summands);
  }

 private:
  struct Sample {
    T got;
    double want;
  };

  // Enough samples to find a wrong tile, and few enough that the check costs less than the timing: the sum for one
  // weight runs over the whole volume.
  std::int64_t samples(Pass pass) const {
    if (pass != Pass::grad_weight) return 200;
    const std::int64_t volume = p_.batch * p_.out_size[0] * p_.out_size[1] * p_.out_size[2];
    return std::clamp<std::int64_t>(10'000'000 / volume, 8, 200);
  }

  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n)); }
  // The first and the last element, then random ones; half of the positions are at an edge, where most mistakes are.
  std::int64_t position(std::int64_t n) {
    if (sample_ < 2) return sample_ == 0 ? 0 : n - 1;
    return below(4) == 0 ? 0 : below(3) == 0 ? n - 1 : below(n);
  }

  Sample draw(Pass pass) {
    const std::int64_t b = position(p_.batch), ci = position(p_.in_channels);
    const std::int64_t in_group = p_.in_channels / p_.groups, out_group = p_.out_channels / p_.groups;
    const std::int64_t co =
        pass == Pass::grad_weight ? ci / in_group * out_group + position(out_group) : position(p_.out_channels);
    Meeting at[3];
    std::vector<Meeting> axes[3];
    for (int a = 0; a < 3; ++a) {
      at[a] = {-1, -1, -1};
      if (pass == Pass::forward) at[a].o = position(p_.out_size[a]);
      if (pass == Pass::grad_input) at[a].i = position(p_.in_size[a]);
      if (pass == Pass::grad_weight) at[a].k = position(p_.kernel_size[a]);
      axes[a] = meetings(p_, a, at[a]);
    }
    switch (pass) {
      case Pass::forward:
        return {t_.y[y_at(b, at, co)], sum(axes, [&](const Meeting* m) { return over_inputs(b, m, co); })};
      case Pass::grad_input:
        return {t_.x[x_at(b, at, ci)], sum(axes, [&](const Meeting* m) { return over_outputs(b, m, ci); })};
      default:
        return {t_.w[w_at(at, ci % in_group, co)], sum(axes, [&](const Meeting* m) { return over_batch(m, ci, co); })};
    }
  }

  template <class F>
  double sum(const std::vector<Meeting> (&axes)[3], F inner) {
    double total = 0;
    for (const Meeting& h : axes[0])
      for (const Meeting& w : axes[1])
        for (const Meeting& d : axes[2]) {
          const Meeting m[3] = {h, w, d};
          total += inner(m);
        }
    return total;
  }

  double over_inputs(std::int64_t b, const Meeting* m, std::int64_t co) {
    const std::int64_t n = p_.in_channels / p_.groups, first = co / (p_.out_channels / p_.groups) * n;
    double total = 0;
    for (std::int64_t c = 0; c < n; ++c) total += product(t_.x[x_at(b, m, first + c)], t_.w[w_at(m, c, co)]);
    return total;
  }
  double over_outputs(std::int64_t b, const Meeting* m, std::int64_t ci) {
    const std::int64_t in_group = p_.in_channels / p_.groups, n = p_.out_channels / p_.groups,
                       first = ci / in_group * n;
    double total = 0;
    for (std::int64_t c = first; c < first + n; ++c)
      total += product(t_.y[y_at(b, m, c)], t_.w[w_at(m, ci % in_group, c)]);
    return total;
  }
  double over_batch(const Meeting* m, std::int64_t ci, std::int64_t co) {
    double total = 0;
    for (std::int64_t b = 0; b < p_.batch; ++b) total += product(t_.x[x_at(b, m, ci)], t_.y[y_at(b, m, co)]);
    return total;
  }
  double product(T a, T b) {
    terms_ += 1;
    return static_cast<double>(a) * static_cast<double>(b);
  }

  std::int64_t x_at(std::int64_t b, const Meeting* m, std::int64_t c) const {
    return (((b * p_.in_size[0] + m[0].i) * p_.in_size[1] + m[1].i) * p_.in_size[2] + m[2].i) * p_.in_channels + c;
  }
  std::int64_t w_at(const Meeting* m, std::int64_t c, std::int64_t co) const {
    const std::int64_t tap = (m[0].k * p_.kernel_size[1] + m[1].k) * p_.kernel_size[2] + m[2].k;
    return (tap * (p_.in_channels / p_.groups) + c) * p_.out_channels + co;
  }
  std::int64_t y_at(std::int64_t b, const Meeting* m, std::int64_t c) const {
    return (((b * p_.out_size[0] + m[0].o) * p_.out_size[1] + m[1].o) * p_.out_size[2] + m[2].o) * p_.out_channels + c;
  }

  // Rounding errors of n summands add up like a random walk. Each is at least an error of float, because bf16 is summed
  // in float, and the result is rounded to T. The factor allows for Winograd's transforms; a single missing summand out
  // of 10^4 is still found.
  static Error compare(const std::vector<double>& got, const std::vector<double>& want, double summands) {
    double squares = 0, largest = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      squares += want[i] * want[i];
      const double difference = std::abs(got[i] - want[i]);
      largest = std::max(largest, std::isfinite(difference) ? difference : std::numeric_limits<double>::max());
    }
    const double rms = std::sqrt(squares / static_cast<double>(want.size()));
    const double result = std::numeric_limits<T>::epsilon(),
                 term = sizeof(T) == 8 ? result : std::numeric_limits<float>::epsilon();
    return {rms > 0 ? largest / rms : largest, 64 * term * std::sqrt(summands) + 4 * result};
  }

  const vg::kernels::Conv3dProblem& p_;
  Tensors<T> t_;
  std::mt19937_64 random_{1};
  std::int64_t sample_ = 0;
  double terms_ = 0;  // products in the sum of the sample
};

}  // namespace bench
