// A volume plus a number a channel that has not been computed yet, and what its gradient sums up. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "voxgrad/framework/autograd/lazy.hpp"
#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/activation.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"

namespace vg::detail {

struct LazyBiasTerms {
  Variable x, bias;
};

/// What `v` will be the sum of (bias_add), if it is one and not computed yet.
std::optional<LazyBiasTerms> lazy_bias(const Variable& v);
/// The same of how a value will be, or was, computed; null is none.
std::optional<LazyBiasTerms> bias_of(const LazyOp* how);

/// Elements of a task: a whole number of voxels, in L2.
inline std::int64_t voxels_of_task(std::int64_t channels) {
  return std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, channels));
}

/// Elements of a piece of a task: what is made of them is still in L1 when it is summed up.
inline std::int64_t voxels_of_piece(std::int64_t channels) {
  return std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, channels));
}

/// The sum over each channel of rows of g's shape: blocks of rows by themselves, then added in order.
/// sum_up(first element, rows, sum) gives the sums of some rows.
template <class T, class SumUp>
Tensor channel_totals(const Tensor& g, const Shape& bias, const SumUp& sum_up) {
  Tensor out = Tensor::zeros(bias, g.dtype());
  const std::int64_t channels = bias.numel(), rows = channels == 0 ? 0 : g.numel() / channels;
  const std::int64_t step = voxels_of_task(channels), piece = voxels_of_piece(channels),
                     blocks = (rows + step - 1) / step;
  memory::Scratch<double> sums(2 * blocks * channels);  // of each block: its own, then a piece's
  parallel_for(
      blocks,
      [&](std::int64_t block) {
        double *const sum = sums.data() + 2 * block * channels, *const of_piece = sum + channels;
        std::fill_n(sum, channels, 0.0);
        const std::int64_t end = std::min(rows, (block + 1) * step);
        for (std::int64_t first = block * step; first < end; first += piece) {
          sum_up(first * channels, std::min(piece, end - first), of_piece);
          for (std::int64_t c = 0; c < channels; ++c) sum[c] += of_piece[c];
        }
      },
      blocks == 1);
  for (std::int64_t c = 0; c < channels; ++c) {
    double total = 0;
    for (std::int64_t block = 0; block < blocks; ++block) total += sums.data()[2 * block * channels + c];
    out.data<T>()[c] = static_cast<T>(total);
  }
  return out;
}

/// g times the activation's slope where its result was y. The slope is constant almost everywhere, so it is a constant
/// of the graph.
Variable through_activation(const kernels::Activation& activation, const Tensor& y, const Variable& g);

}  // namespace vg::detail
