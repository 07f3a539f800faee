// The layout of a block's transformed values, and the transform of a block. Internal.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

/// The layout of transformed values: point p, tile t at p * point_stride + t * ld. An additional vector per point maps
/// the points to different cache sets, and with many channels an additional vector per tile does so for the tiles (512
/// channels: the products of grad_weight at 4^3 take half the time).
struct TransformedLayout {
  std::int64_t ld, point_stride;
  TransformedLayout(std::int64_t channels, std::int64_t tiles, std::int64_t lanes)
      : ld(round_up(channels, lanes) + (channels >= 16 * lanes ? lanes : 0)), point_stride(tiles * ld + lanes) {}
};

/// The offsets of tiles that are ld apart: 0, ld, 2 ld ..., without the `skip` tiles after each run.
class Offsets {
 public:
  Offsets(std::int64_t n, std::int64_t ld) : Offsets(1, n, 0, ld) {}
  Offsets(std::int64_t runs, std::int64_t depth, std::int64_t skip, std::int64_t ld) : offsets_(runs * depth) {
    std::int64_t* to = offsets_.data();
    for (std::int64_t r = 0; r < runs; ++r)
      for (std::int64_t d = 0; d < depth; ++d) *to++ = (r * (depth + skip) + d) * ld;
  }
  const std::int64_t* data() { return offsets_.data(); }

 private:
  memory::Scratch<std::int64_t> offsets_;
};

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
  const SubKernels& parts = tiling.parts();
  const std::int64_t size = b.runs() * (b.depth_tiles + parts.halo()) * layout.ld;
  for (std::int64_t h = 0; h < parts.count[0]; ++h)
    for (std::int64_t w = 0; w < parts.count[1]; ++w, to += size)
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
class SubKernelTaps {
 public:
  SubKernelTaps(const Tiling& tiling, const Tiling::Block& b, std::int64_t channels, std::int64_t ld)
      : count_(tiling.parts().all()) {
    const SubKernels& parts = tiling.parts();
    const std::int64_t size = b.runs() * (b.depth_tiles + parts.halo());
    for (std::int64_t i = 0; i < count_; ++i)
      taps_[i] = {(i / parts.count[2] * size + i % parts.count[2]) * ld, channels, i * channels};
  }
  const TapRun* data() const { return taps_; }
  std::int64_t size() const { return count_; }

 private:
  std::int64_t count_;
  TapRun taps_[8];
};

}  // namespace vg::kernels::winograd
