// What is done to the outputs of a convolution while they are in a cache, in place of a pass over memory of its own: a
// bias, a normalisation by constants, an activation; or the sums that a normalisation's statistics are made of.
#pragma once

#include <cstdint>
#include <vector>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// Sums over the voxels of each sample by channel, from which means and variances follow. They come in chunks, each
/// about a centre of its own (one of its voxels): so a large common mean costs no accuracy.
class Moments {
 public:
  struct Chunk {
    std::int64_t sample, rows;
    std::vector<double> stats;  ///< by channel: the centres; sums of the distances from them; of their squares
  };

  /// Of samples of `sample_rows` voxels.
  Moments(std::int64_t sample_rows, std::int64_t channels) : sample_rows_(sample_rows), channels_(channels) {}
  std::int64_t sample_rows() const { return sample_rows_; }
  std::int64_t channels() const { return channels_; }

  /// Forgets everything, for so many tasks.
  void begin(std::int64_t tasks);
  /// `rows` voxels, contiguous at x, from voxel number `first` of all samples on. Tasks may do so at once; the chunks
  /// depend on what each of them adds only.
  template <class T>
  void add(std::int64_t task, std::int64_t first, std::int64_t rows, const T* x);
  /// f(chunk) in the order of tasks.
  template <class F>
  void each(const F& f) const {
    for (const auto& task : tasks_)
      for (const Chunk& chunk : task) f(chunk);
  }

 private:
  std::int64_t sample_rows_, channels_;
  std::vector<std::vector<Chunk>> tasks_;
};

/// Either, or nothing.
template <class T>
class Epilogue {
 public:
  Epilogue() = default;
  /// What becomes of the outputs. The numbers are copied.
  explicit Epilogue(const ChannelMap<T>& map);
  /// Of the outputs; to outlive this.
  explicit Epilogue(Moments& moments) : moments_(&moments) {}

  bool any() const { return channels_ > 0 || moments_ != nullptr; }
  /// Before it is applied, by so many tasks.
  void begin(std::int64_t tasks) const;
  /// To whole voxels, as Moments::add has them.
  void apply(std::int64_t task, std::int64_t first, std::int64_t rows, T* y) const;
  /// To a whole volume, by a pass over it: what algorithms do that do not know better.
  void pass(std::int64_t rows, std::int64_t channels, T* y) const;

 private:
  ChannelMap<T> map_of(std::int64_t rows, std::int64_t channels) const;

  Moments* moments_ = nullptr;
  std::int64_t channels_ = 0, together_ = 0;  // voxels that lie side by side as one wide row, where channels are few
  bool centred_ = false;
  Activation activation_;
  std::vector<T> centre_, factor_, shift_;  // of a wide row
};

}  // namespace vg::kernels
