// exp, log, tanh, the logistic function and the normal distribution for float, without branches and calls, so that the
// compiler turns a loop over them into vector instructions of any set. The C library's functions take ten times as
// long. The relative error is below 2e-7 (2 ulp); that of the distribution is below 5e-7 from x = -3 on and 3e-6 at -9.
// NaN, infinities and denormal results are as in the C library. The double versions call the C library. The
// coefficients of exp, log and tanh are from Cephes (S. L. Moshier), expf.c, logf.c and tanhf.c. All functions are
// inlined, so that each instruction set gets its own.
#pragma once

#include <bit>
#include <cstdint>

#define VOXGRAD_INLINE static inline __attribute__((always_inline))

namespace vg::detail {

/// e^x = p 2^n, with n in the low bits of `shifted`.
struct Power {
  static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number in the low bits
  float p, shifted;
};
VOXGRAD_INLINE Power power_of_two(float x) {
  const float shifted = x * 1.44269504088896341f + Power::round, n = shifted - Power::round;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {p * (r * r) + r + 1.0f, shifted};
}

VOXGRAD_INLINE double fast_exp(double x) { return __builtin_exp(x); }
VOXGRAD_INLINE float fast_exp(float x) {
  x = x > 89.0f ? 89.0f : x;  // larger x give infinity; a NaN passes
  x = x < -105.0f ? -105.0f : x;
  const auto [p, shifted] = power_of_two(x);
  // 2^n is applied as two factors, because n is from -151 to 128, which exceeds the range of one float.
  const std::int32_t whole =
      static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(Power::round));
  const std::int32_t half = whole >> 1;
  const auto power = [](std::int32_t e) { return std::bit_cast<float>(static_cast<std::uint32_t>(e + 127) << 23); };
  return p * power(half) * power(whole - half);
}

VOXGRAD_INLINE double fast_tanh(double x) { return __builtin_tanh(x); }
VOXGRAD_INLINE float fast_tanh(float x) {
  const float a = __builtin_fabsf(x), s = x * x;
  float p = -5.70498872745e-3f;
  p = p * s + 2.06390887954e-2f;
  p = p * s - 5.37397155531e-2f;
  p = p * s + 1.33314422036e-1f;
  p = p * s - 3.33332819422e-1f;
  const float small = p * s * x + x;
  const float large = __builtin_copysignf(1.0f - 2.0f / (fast_exp(2.0f * a) + 1.0f), x);
  return a < 0.625f ? small : large;
}

/// 1 / (1 + e^-x). No intermediate value overflows, because only e^-|x| <= 1 is computed.
template <class T>
VOXGRAD_INLINE T logistic(T x) {
  const T e = fast_exp(x < 0 ? x : -x);
  return (x >= 0 ? T(1) : e) / (1 + e);
}

/// Phi(x), the distribution function of the normal distribution, and e^(-x^2 / 2), its density times sqrt(2 pi).
template <class T>
struct Normal {
  T below, density;
};
VOXGRAD_INLINE Normal<double> normal_at(double x) {
  return {0.5 * __builtin_erfc(-x * 0.70710678118654752440), __builtin_exp(-0.5 * x * x)};
}
/// e^x for x <= 0, flushed to 0 for x < -82 so that products with it are not denormal (slow). Unspecified for NaN.
VOXGRAD_INLINE float fast_exp_below_one(float x) {
  const auto [p, shifted] = power_of_two(x);
  const float power =
      std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + (std::bit_cast<std::uint32_t>(shifted) << 23));
  return x < -82.0f ? 0.0f : power;
}

/// erfc(t) / 2 = e^(-t^2) u p(u), u = 1 / (1 + t / 2), t >= 0. p is a minimax fit with relative error 5e-8.
VOXGRAD_INLINE Normal<float> normal_at(float x) {
  const float e = fast_exp_below_one(-0.5f * x * x);
  const float u = 1.0f / (1.0f + 0.35355339059327376220f * __builtin_fabsf(x));
  float p = -2.963265714e-02f;
  p = p * u + 1.4276702565e-01f;
  p = p * u - 2.4459400445e-01f;
  p = p * u + 1.4017203585e-01f;
  p = p * u - 1.409785459e-02f;
  p = p * u + 1.0167584755e-01f;
  p = p * u + 1.2146782595e-01f;
  p = p * u + 1.4119920885e-01f;
  p = p * u + 1.4104255055e-01f;
  const float tail = e * (p * u);
  return {x < 0 ? tail : 1.0f - tail, e};
}

/// e^x for x <= 88, and 0 below -87.3, where results are no longer normal numbers. Made for softmax, where x <= 0.
VOXGRAD_INLINE float fast_exp_flushed(float x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits
  const float shifted = x * 1.44269504088896341f + magic;
  const float n = shifted - magic;
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n by its exponent bits. They are garbage for NaN, where p is NaN, and for very small x, which the mask clears.
  const float power =
      std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(magic) + 127u) << 23);
  // A mask replaces a branch: g++ would move the polynomial into the branch and then not vectorise the loop.
  const std::uint32_t keep = static_cast<std::uint32_t>(x < -87.3f) - 1u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p * power) & keep);
}
VOXGRAD_INLINE double fast_exp_flushed(double x) { return __builtin_exp(x); }

/// log(x) for finite x >= 1e-30. It is NaN for NaN and infinity.
VOXGRAD_INLINE float fast_log(float x) {
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)).
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t offset = bits - 0x3f3504f3u;
  const auto e = static_cast<float>(static_cast<std::int32_t>(offset) >> 23);
  const float m = std::bit_cast<float>(bits - (offset & 0xff800000u)) - 1.0f;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const float z = m * m;
  p = p * m * z;
  p = p - e * 2.12194440e-4f - 0.5f * z;
  return m + p + e * 0.693359375f + (x - x);  // x - x is 0, or NaN if x is NaN or infinite
}
VOXGRAD_INLINE double fast_log(double x) { return __builtin_log(x); }

}  // namespace vg::detail

#undef VOXGRAD_INLINE
