// Cuts a convolution along the batch and H, for algorithms that copy their operands. Internal to framework/kernels.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// The convolution for some planes of the outputs and the planes of the input that they read.
struct RowChunk {
  Conv3dProblem p;
  std::int64_t x, y;  ///< offsets of its operands in the whole ones, in elements
};

/// The chunk of the output planes [begin, end) along H of sample `sample`.
RowChunk row_chunk_of(const Conv3dProblem& p, std::int64_t sample, std::int64_t begin, std::int64_t end);

/// The most planes of outputs (at least one) whose input and outputs together have at most `elements`.
std::int64_t chunk_planes(const Conv3dProblem& p, std::int64_t elements);

/// Whether p's input and outputs together have at most `elements`, or there are no outputs.
bool fits_chunk(const Conv3dProblem& p, std::int64_t elements);

/// Calls f(chunk) for chunks that cover the outputs, in order, or once for the whole problem if it fits.
template <class F>
void for_each_row_chunk(const Conv3dProblem& p, std::int64_t elements, const F& f) {
  if (fits_chunk(p, elements)) return f(RowChunk{p, 0, 0});
  const std::int64_t planes = chunk_planes(p, elements);
  for (std::int64_t sample = 0; sample < p.batch; ++sample)
    for (std::int64_t h = 0; h < p.out_size[0]; h += planes)
      f(row_chunk_of(p, sample, h, h + planes < p.out_size[0] ? h + planes : p.out_size[0]));
}

}  // namespace vg::kernels
