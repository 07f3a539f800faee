// The layout of a block's transformed values, and the transform of a block. Internal.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) { return ceil_div(n, unit) * unit; }

/// The layout of transformed values: point p, tile t at p * point_stride + t * ld. An additional vector per point maps
/// the points to different cache sets, and with many channels an additional vector per tile does so for the tiles (512
/// channels: the products of grad_weight at 4^3 take half the time).
struct TransformedLayout {
  std::int64_t ld, point_stride;
  TransformedLayout(std::int64_t channels, std::int64_t tiles, std::int64_t lanes)
      : ld(round_up(channels, lanes) + (channels >= 16 * lanes ? lanes : 0)), point_stride(tiles * ld + lanes) {}
};

/// Writes the offsets of tiles that are ld apart: 0, ld, 2 ld ..., without the `skip` tiles after each run.
inline void fill_offsets(std::int64_t* to, std::int64_t runs, std::int64_t depth, std::int64_t skip, std::int64_t ld) {
  for (std::int64_t r = 0; r < runs; ++r)
    for (std::int64_t d = 0; d < depth; ++d) *to++ = (r * (depth + skip) + d) * ld;
}

/// Transforms a block with `kernel`; `side(run)` returns the arguments of a run.
template <class T, class Kernel, class Side>
void transform_input(const Tiling::Block& b, const TransformedLayout& layout, T* to, const Kernel& kernel,
                     const Side& side) {
  for (std::int64_t run = b.run_begin; run < b.run_end; ++run) {
    InputTransformArgs<T> g = side(run);
    g.to = to + (run - b.run_begin) * g.tiles * layout.ld;
    g.ld = layout.ld;
    g.point_stride = layout.point_stride;
    kernel(g);
  }
}

/// Transforms the inputs of a block in some slices of a stage, once for all subkernels that differ along D only. Every
/// tensor except the last has whole vectors of channels.
template <class T, class Kernel>
void transform_inputs(const Tiling& tiling, const Tiling::Block& b, int slice, int slices, const ConcatView<const T>& x,
                      const TransformedLayout& layout, T* to, const Kernel& kernel) {
  const Scheme& scheme = tiling.scheme();
  const std::int64_t size = b.runs() * (b.depth_tiles + scheme.halo()) * layout.ld;
  for (std::int64_t h = 0; h < scheme.subkernels[0]; ++h)
    for (std::int64_t w = 0; w < scheme.subkernels[1]; ++w, to += size)
      for_each_source(x, [&](const T* data, std::int64_t channels, std::int64_t before) {
        transform_input<T>(b, layout, to + before, kernel, [&](std::int64_t run) {
          InputTransformArgs<T> g = tiling.input(b, run, slice, data, channels, h, w);
          g.slices = slices;
          return g;
        });
      });
}

/// The products of a block at one point are a convolution over its tiles with one tap per subkernel. A tap says where
/// the inputs of the subkernel begin, and which rows of the transformed weights it uses.
inline void fill_subkernel_taps(TapRun* taps, const Scheme& scheme, const Tiling::Block& b, std::int64_t channels,
                                std::int64_t ld) {
  const std::int64_t size = b.runs() * (b.depth_tiles + scheme.halo()), along_d = scheme.subkernels[2];
  for (std::int64_t i = 0; i < scheme.all_subkernels(); ++i)
    taps[i] = {(i / along_d * size + i % along_d) * ld, channels, i * channels};
}

}  // namespace vg::kernels::winograd
