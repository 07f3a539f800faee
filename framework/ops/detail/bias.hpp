// A lazy sum of a volume and one value per channel, and the sums of its gradient. Internal.
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

/// The terms of `v`'s sum, if `v` is a lazy bias_add.
std::optional<LazyBiasTerms> lazy_bias(const Variable& v);
/// The same for a LazyOp; null gives none.
std::optional<LazyBiasTerms> bias_of(const LazyOp* how);

/// Voxels per task: their elements fit in L2.
inline std::int64_t voxels_of_task(std::int64_t channels) {
  return std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, channels));
}

/// Voxels per piece of a task: the results of one piece are still in L1 when they are summed up.
inline std::int64_t voxels_of_piece(std::int64_t channels) {
  return std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, channels));
}

/// The sum over the rows of g's shape, per channel: blocks of rows are summed separately, then added in order.
/// sum_up(first element, rows, sum) computes the sums of some rows.
template <class T, class SumUp>
Tensor channel_totals(const Tensor& g, const Shape& bias, const SumUp& sum_up) {
  Tensor out = Tensor::zeros(bias, g.dtype());
  const std::int64_t channels = bias.numel(), rows = channels == 0 ? 0 : g.numel() / channels;
  const std::int64_t step = voxels_of_task(channels), piece = voxels_of_piece(channels),
                     blocks = (rows + step - 1) / step;
  memory::Scratch<double> sums(2 * blocks * channels);  // per block: its own sums, then a piece's
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

/// g times the activation's slope where its result was y. The slope is a constant of the graph, because it is constant
/// almost everywhere.
Variable through_activation(const kernels::Activation& activation, const Tensor& y, const Variable& g);

}  // namespace vg::detail
