// Sums of a gradient per channel. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/tensor.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::detail {

/// The sum over the rows of g's shape, per channel: blocks of rows are summed separately, then added in order.
/// sum_up(first element, rows, sum) computes the sums of some rows.
template <class T, class SumUp>
Tensor channel_totals(const Tensor& g, const Shape& bias, const SumUp& sum_up) {
  Tensor out = Tensor::zeros(bias, g.dtype());
  const std::int64_t channels = bias.numel(), rows = channels == 0 ? 0 : g.numel() / channels;
  // the elements of a block fit in L2, and the results of a piece are still in L1 when they are summed up
  const std::int64_t at_least_one = std::max<std::int64_t>(1, channels);
  const std::int64_t step = std::max<std::int64_t>(1, 32768 / at_least_one),
                     piece = std::max<std::int64_t>(1, 4096 / at_least_one), blocks = (rows + step - 1) / step;
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

}  // namespace vg::detail
