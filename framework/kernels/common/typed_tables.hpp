// Which of a set's tables an element type and a number of channels take. Internal.
#pragma once

#include <cstdint>

namespace vg::kernels {

/// Of tables that have an f32 and an f64: T's.
template <class T, class Tables>
const auto& of_type(const Tables& tables) {
  if constexpr (sizeof(T) == sizeof(float))
    return tables.f32;
  else
    return tables.f64;
}

/// For so many channels: half vectors (`half_width`, null where there are none) where one holds them all. They run at the
/// same rate at least, and nothing of them is idle (1 -> 8 channels, 16^3, depthwise: 1.25 -> 0.78 ms).
template <class T, class Tables>
const auto& of_channels(const Tables& whole, const Tables* half_width, std::int64_t channels) {
  const bool fits = half_width != nullptr && channels <= of_type<T>(*half_width).lanes;
  return of_type<T>(fits ? *half_width : whole);
}

}  // namespace vg::kernels
