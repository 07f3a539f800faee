// Work on the outputs of a convolution while they are in a cache, which saves a separate pass over memory: a bias, a
// normalisation by constants and an activation, or the sums from which a normalisation's statistics follow.
#pragma once

#include <cstdint>
#include <vector>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// Sums over the voxels of each sample per channel, from which means and variances follow. They are stored in chunks.
/// Each chunk has its own centre (one of its voxels), so that a large common mean costs no accuracy.
class Moments {
 public:
  struct Chunk {
    std::int64_t sample, rows;
    std::vector<double> stats;  ///< per channel: the centres, sums of x - centre, sums of their squares
  };

  /// For samples of `sample_rows` voxels.
  Moments(std::int64_t sample_rows, std::int64_t channels) : sample_rows_(sample_rows), channels_(channels) {}
  std::int64_t sample_rows() const { return sample_rows_; }
  std::int64_t channels() const { return channels_; }

  /// Deletes all chunks and prepares for `tasks` tasks.
  void begin(std::int64_t tasks);
  /// Adds `rows` voxels, contiguous at x; `first` is the index of the first one among the voxels of all samples. Tasks
  /// may run concurrently; the chunks of a task depend only on what that task adds.
  template <class T>
  void add(std::int64_t task, std::int64_t first, std::int64_t rows, const T* x);
  /// Calls f(chunk) for all chunks in the order of tasks.
  template <class F>
  void each(const F& f) const {
    for (const auto& task : tasks_)
      for (const Chunk& chunk : task) f(chunk);
  }

 private:
  std::int64_t sample_rows_, channels_;
  std::vector<std::vector<Chunk>> tasks_;
};

/// A channel map of the outputs, or their moments, or nothing.
template <class T>
class Epilogue {
 public:
  Epilogue() = default;
  /// Applies `map` to the outputs. Its centre, factor and shift are copied.
  explicit Epilogue(const ChannelMap<T>& map);
  /// Adds the outputs to `moments`, which must outlive the epilogue.
  explicit Epilogue(Moments& moments) : moments_(&moments) {}

  bool any() const { return channels_ > 0 || moments_ != nullptr; }
  /// Is called once before `tasks` tasks. Returns whether they apply the epilogue, for which they must write whole
  /// voxels. If not, the algorithm calls pass() after them.
  bool begin(std::int64_t tasks, bool whole_voxels = true) const;
  /// Applies the epilogue to whole voxels; the arguments are those of Moments::add.
  void apply(std::int64_t task, std::int64_t first, std::int64_t rows, T* y) const;
  /// Applies the epilogue to a whole volume in a separate pass.
  void pass(std::int64_t rows, std::int64_t channels, T* y) const;

 private:
  ChannelMap<T> map_of(std::int64_t rows, std::int64_t channels) const;

  Moments* moments_ = nullptr;
  std::int64_t channels_ = 0, together_ = 0;  // with few channels, so many voxels form one wide row
  bool centred_ = false;
  Activation activation_;
  std::vector<T> centre_, factor_, shift_;  // repeated for a wide row
};

}  // namespace vg::kernels
