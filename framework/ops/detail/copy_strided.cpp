// The one loop that moves elements. Transposes, slices, padding, flips and broadcasts are copies between strided index
// spaces.
#include "voxgrad/framework/ops/detail/strided.hpp"

namespace vg::detail {

namespace {

// Copies tiles of 64 x 64 elements if the destination is contiguous along the innermost axis and the source along
// another one. A buffer lets each cache line be read once and completely: lines a power of two apart would evict each
// other.
template <class T>
void copy_tiled(const Walk<2>& w, std::size_t cross, T* dst, const T* src) {
  constexpr std::int64_t tile = 64;
  const std::size_t last = w.rank - 1;
  const std::int64_t rows = w.extent[cross], columns = w.extent[last], bands = (rows + tile - 1) / tile;
  const std::int64_t row_step = w.stride[cross][0], column_step = w.stride[last][1];
  std::int64_t outer = 1;
  for (std::size_t d = 0; d < last; ++d)
    if (d != cross) outer *= w.extent[d];
  parallel_ranges(outer * bands, std::max<std::int64_t>(1, grain / (tile * columns)),
                  [&](std::int64_t begin, std::int64_t end) {
                    T buffer[tile * (tile + 1)];
                    for (std::int64_t task = begin; task < end; ++task) {
                      T* to = dst;
                      const T* from = src;
                      std::int64_t rest = task / bands;
                      for (std::size_t d = last; d-- > 0;) {
                        if (d == cross) continue;
                        to += rest % w.extent[d] * w.stride[d][0];
                        from += rest % w.extent[d] * w.stride[d][1];
                        rest /= w.extent[d];
                      }
                      const std::int64_t r0 = task % bands * tile, r1 = std::min(rows, r0 + tile);
                      for (std::int64_t c0 = 0; c0 < columns; c0 += tile) {
                        const std::int64_t c1 = std::min(columns, c0 + tile);
                        for (std::int64_t c = c0; c < c1; ++c)
                          for (std::int64_t r = r0; r < r1; ++r)
                            buffer[(r - r0) * (tile + 1) + c - c0] = from[r + c * column_step];
                        for (std::int64_t r = r0; r < r1; ++r)
                          std::copy_n(buffer + (r - r0) * (tile + 1), c1 - c0, to + r * row_step + c0);
                      }
                    }
                  });
}

template <class T>
void copy(const Walk<2>& w, T* dst, const T* src) {
  const auto step = w.rank == 0 ? std::array<std::int64_t, 2>{1, 1} : w.stride[w.rank - 1];
  if (step[0] == 1 && step[1] != 1 && step[1] != 0)
    for (std::size_t d = 0; d + 1 < w.rank; ++d)
      if (w.stride[d][1] == 1) return copy_tiled(w, d, dst, src);
  for_rows(w, [=](const std::array<std::int64_t, 2>& at, std::int64_t, std::int64_t n) {
    T* to = dst + at[0];
    const T* from = src + at[1];
    if (step[0] == 1 && step[1] == 1)
      std::copy(from, from + n, to);
    else if (step[0] == 1 && step[1] == 0)
      std::fill(to, to + n, *from);
    else
      for (std::int64_t i = 0; i < n; ++i) to[i * step[0]] = from[i * step[1]];
  });
}

}  // namespace

void copy_strided(DType dtype, const Shape& shape, void* dst, std::int64_t dst_offset, const Strides& dst_strides,
                  const void* src, std::int64_t src_offset, const Strides& src_strides) {
  if (shape.numel() == 0) return;
  const Walk<2> w(shape, {dst_strides, src_strides});
  dispatch(dtype, [&](auto tag) {
    using T = decltype(tag);
    copy(w, static_cast<T*>(dst) + dst_offset, static_cast<const T*>(src) + src_offset);
  });
}

}  // namespace vg::detail
