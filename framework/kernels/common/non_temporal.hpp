// What does not stay in the caches.
#pragma once

#include <cstdint>

namespace vg::kernels {

/// Volumes above it do not stay in the caches from one call to the next. (What a process gets of a last level is not
/// what the system reports, in virtual machines least of all.)
constexpr std::int64_t non_temporal_threshold = std::int64_t{12} << 20;

}  // namespace vg::kernels
