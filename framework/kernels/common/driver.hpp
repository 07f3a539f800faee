// Shared by the drivers of the algorithms: sizes and class of a problem, memory for the lists of a task. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/indirection.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

inline std::int64_t outputs(const Conv3dProblem& p) { return p.batch * p.out_size[0] * p.out_size[1] * p.out_size[2]; }

inline std::int64_t taps(const Conv3dProblem& p) { return p.kernel_size[0] * p.kernel_size[1] * p.kernel_size[2]; }

/// Elements of one sample.
inline std::int64_t in_volume(const Conv3dProblem& p) {
  return p.in_size[0] * p.in_size[1] * p.in_size[2] * p.in_channels;
}
inline std::int64_t out_volume(const Conv3dProblem& p) {
  return p.out_size[0] * p.out_size[1] * p.out_size[2] * p.out_channels;
}

/// Whether threads would cost more than they save: the work takes less than some ten microseconds.
inline bool is_small(const Conv3dProblem& p) {
  return outputs(p) * taps(p) * (p.in_channels / p.groups) * p.out_channels < 200'000;
}

/// Outputs per task: few enough for many tasks if the volume allows it, enough to fill tiles and reuse weights.
inline std::int64_t target_task_outputs(const Conv3dProblem& p) {
  return std::clamp<std::int64_t>(outputs(p) / 32, 128, 1024);
}

/// Whether so little is computed per output that writing it bounds the time of the direct kernels.
inline bool is_store_bound(const Conv3dProblem& p) { return p.groups == 1 && taps(p) * p.in_channels <= 128; }

/// Whether non-temporal stores suit the output y: together with the input it exceeds the caches, and its voxels are
/// whole cache lines.
template <class T>
bool should_stream(const Conv3dProblem& p, const T* y) {
  constexpr std::int64_t line = 64;
  const std::int64_t voxel = p.out_channels * std::int64_t{sizeof(T)};
  const std::int64_t bytes = outputs(p) * voxel + p.batch * in_volume(p) * std::int64_t{sizeof(T)};
  return bytes > cache::non_temporal_threshold && voxel % line == 0 && reinterpret_cast<std::uintptr_t>(y) % line == 0;
}

inline bool is_depthwise(const Conv3dProblem& p) {
  return p.groups > 1 && p.groups == p.in_channels && p.groups == p.out_channels;
}

/// Memory for the lists of a task: its taps and the offsets of its inputs and outputs.
class IndirectionBuffer {
 public:
  explicit IndirectionBuffer(const Indirection& indirection)
      : taps_(indirection.most_taps()),
        offsets_(2 * indirection.most_positions()),
        most_(indirection.most_positions()) {}
  TapRun* taps() { return taps_.data(); }
  std::int64_t* x_indirection() { return offsets_.data(); }
  std::int64_t* y_indirection() { return offsets_.data() + most_; }

 private:
  memory::Scratch<TapRun> taps_;
  memory::Scratch<std::int64_t> offsets_;
  std::int64_t most_;
};

}  // namespace vg::kernels
