// exp, tanh and the logistic function for float without a branch or a call, so that the compiler turns a loop over them
// into vector instructions of any set: the C library's take ten times as long. Relative error below 2e-7 (2 ulp); NaN
// and infinities as usual, denormal results included. For double they are the standard library's. Coefficients: Cephes
// (S. L. Moshier), expf.c and tanhf.c.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace vg::detail {

inline double fast_exp(double x) { return std::exp(x); }
inline float fast_exp(float x) {
  x = x > 89.0f ? 89.0f : x;  // beyond: infinity; a NaN passes
  x = x < -105.0f ? -105.0f : x;
  constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number in the low bits
  const float shifted = x * 1.44269504088896341f + round;
  const float n = shifted - round;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n in two factors, for n from -151 to 128 passes what one float can hold.
  const std::int32_t whole =
      static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(round));
  const std::int32_t half = whole >> 1;
  const auto power = [](std::int32_t e) { return std::bit_cast<float>(static_cast<std::uint32_t>(e + 127) << 23); };
  return p * power(half) * power(whole - half);
}

inline double fast_tanh(double x) { return std::tanh(x); }
inline float fast_tanh(float x) {
  const float a = std::fabs(x), s = x * x;
  float p = -5.70498872745e-3f;
  p = p * s + 2.06390887954e-2f;
  p = p * s - 5.37397155531e-2f;
  p = p * s + 1.33314422036e-1f;
  p = p * s - 3.33332819422e-1f;
  const float small = p * s * x + x;
  const float large = std::copysign(1.0f - 2.0f / (fast_exp(2.0f * a) + 1.0f), x);
  return a < 0.625f ? small : large;
}

/// 1 / (1 + e^-x); neither side overflows, for e^-|x| is at most 1.
template <class T>
T logistic(T x) {
  const T e = fast_exp(-std::abs(x));
  return (x >= 0 ? T(1) : e) / (1 + e);
}

}  // namespace vg::detail
