// exp and log in plain arithmetic, so that a loop over them becomes vector code on any CPU (std::exp(float) costs a
// call an element). Single precision: after Cephes (S. Moshier), about 2 ulp. NaN gives NaN. Double precision is the
// library's.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace vg::detail {

/// e^x for x <= 88; below -87.3 (where results are no longer normal numbers) 0. Meant for x <= 0, as softmax has it.
inline float fast_exp(float x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which then sits in the low bits
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
  // 2^n by its exponent bits: garbage for NaN and far below, but then p is NaN already, or the mask below clears it.
  const float power =
      std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(magic) + 127u) << 23);
  // A mask, not a branch: g++ would move the polynomial into the branch, and then not vectorise the loop.
  const std::uint32_t keep = static_cast<std::uint32_t>(x < -87.3f) - 1u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p * power) & keep);
}
inline double fast_exp(double x) { return std::exp(x); }

/// log(x) for finite x >= 1e-30; NaN for NaN and infinity.
inline float fast_log(float x) {
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
  return m + p + e * 0.693359375f + (x - x);  // x - x: 0, or NaN for what has no logarithm here
}
inline double fast_log(double x) { return std::log(x); }

}  // namespace vg::detail
