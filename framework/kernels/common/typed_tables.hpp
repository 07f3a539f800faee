// Selects one of a set's tables by element type and number of channels. Internal.
#pragma once

#include <cstdint>

namespace vg::kernels {

/// The table of T, which is float or double.
template <class T, class Tables>
const auto& of_type(const Tables& tables) {
  if constexpr (sizeof(T) == sizeof(float))
    return tables.f32;
  else
    return tables.f64;
}

/// The table for a number of channels: that of half vectors (`half_width`, null if there are none) if one holds all
/// channels. They run at least at the same rate, with fewer idle lanes (1 -> 8 channels, 16^3, depthwise: 1.25 -> 0.78
/// ms).
template <class T, class Tables>
const auto& of_channels(const Tables& whole, const Tables* half_width, std::int64_t channels) {
  const bool fits = half_width != nullptr && channels <= of_type<T>(*half_width).lanes;
  return of_type<T>(fits ? *half_width : whole);
}

}  // namespace vg::kernels
