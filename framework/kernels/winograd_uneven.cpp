#include "framework/kernels/winograd_uneven.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "framework/kernels/winograd.hpp"
#include "framework/memory.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// The largest output of a tile may be so many times the smallest, each that of a voxel and a group of channels. What
/// reaches others through a wide tile is then up to 10 times the rounding of the direct kernels.
constexpr double even = 32;

int64_t tile_outputs(const Tiling& tiling) {
  return tiling.points().step(0) * tiling.points().step(1) * tiling.points().step(2);
}

/// f(tile of the block, output of the tile, its channels in a tensor, how many, those of other tensors before) for all
/// outputs that there are.
template <class T, class F>
void each_output(const Tiling& tiling, const Tiling::Block& block, BlockOutputs<T>& y, const F& f) {
  const int64_t step_h = tiling.points().step(0), step_w = tiling.points().step(1), step_d = tiling.points().step(2);
  y.each_side(block, 0, [&](const WinogradScatter<T>& g, int64_t run, int64_t before) {
    const int64_t depth = std::min(g.depth, block.depth_tiles * step_d);
    for (int64_t h = 0; h < step_h; ++h)
      for (int64_t w = 0; w < step_w; ++w)
        for (int64_t d = 0; g.y[h][w] != nullptr && d < depth; ++d)
          f((run - block.run_begin) * block.depth_tiles + d / step_d, (h * step_w + w) * step_d + d % step_d,
            g.y[h][w] + d * g.stride, g.channels, before);
  });
}

/// The largest |v|, infinite where one is not finite.
template <class T>
T largest(const T* v, int64_t n) {
  T most = 0;
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    const T a = std::abs(v[i]);
    most = a > most ? a : most;
    finite = finite && a <= std::numeric_limits<T>::max();
  }
  return finite ? most : std::numeric_limits<T>::infinity();
}

/// The tiles whose outputs are far apart in some group, or not finite.
template <class T>
std::vector<int64_t> uneven_tiles(int64_t groups, int64_t group_channels, const Tiling& tiling,
                                  const Tiling::Block& block, BlockOutputs<T>& y) {
  const int64_t outputs = tile_outputs(tiling);
  constexpr T none = -1;
  std::vector<T> levels(static_cast<std::size_t>(block.tiles() * groups * outputs), none);
  each_output(tiling, block, y, [&](int64_t tile, int64_t output, const T* at, int64_t channels, int64_t before) {
    // several tensors: one group, which goes on
    for (int64_t c = 0; c < channels; c += group_channels) {
      T& level = levels[static_cast<std::size_t>((tile * groups + (before + c) / group_channels) * outputs + output)];
      level = std::max(level, largest(at + c, std::min(group_channels, channels - c)));
    }
  });
  std::vector<int64_t> tiles;
  for (int64_t tile = 0; tile < block.tiles(); ++tile)
    for (int64_t group = 0; group < groups; ++group) {
      T least = std::numeric_limits<T>::infinity(), most = 0;
      const T* const level = levels.data() + (tile * groups + group) * outputs;
      for (int64_t i = 0; i < outputs; ++i) {
        if (level[i] == none) continue;
        least = std::min(least, level[i]);
        most = std::max(most, level[i]);
      }
      if (std::isfinite(most) && !(most > T(even) * least)) continue;
      tiles.push_back(tile);
      break;
    }
  return tiles;
}

/// What a tile's outputs are made of, as a convolution of their own: one sample a tile, without padding or dilation.
Conv3dProblem problem_of_tiles(const Conv3dProblem& p, const Tiling& tiling, int64_t tiles) {
  Conv3dProblem q = p;
  q.batch = tiles;
  for (int a = 0; a < 3; ++a) {
    q.out_size[a] = tiling.points().step(a);
    q.in_size[a] = q.out_size[a] + q.kernel_size[a] - 1;
    q.pad[a] = 0;
    q.rhs_dilation[a] = 1;
  }
  return q;
}

/// The inputs of a tile of a block: [h][w][d][channel], zero outside.
template <class T>
void copy_tile(const Conv3dProblem& q, const Tiling& tiling, const Tiling::Block& block, int64_t tile,
               const Joined<const T>& x, T* to) {
  const int64_t run = block.run_begin + tile / block.depth_tiles, t = tile % block.depth_tiles;
  each_part(x, [&](const T* data, int64_t channels, int64_t before) {
    const WinogradGather<T> g = tiling.all_inputs(block, run, data, channels);
    T* voxel = to + before;
    for (int64_t h = 0; h < q.in_size[0]; ++h)
      for (int64_t w = 0; w < q.in_size[1]; ++w)
        for (int64_t k = 0; k < q.in_size[2]; ++k, voxel += q.in_channels) {
          const int64_t d = g.first + t * q.out_size[2] + k;
          if (g.rows[h][w] == nullptr || d < 0 || d >= g.depth)
            std::fill_n(voxel, channels, T(0));
          else
            std::copy_n(g.rows[h][w] + d * g.stride, channels, voxel);
        }
  });
}

}  // namespace

template <class T>
void mend_uneven_tiles(const Gathered<T>& of, const Tiling& tiling, const Tiling::Block& block, BlockOutputs<T>& y) {
  const Conv3dProblem& p = of.p;
  const std::vector<int64_t> tiles = uneven_tiles(p.groups, p.out_channels / p.groups, tiling, block, y);
  if (tiles.empty()) return;
  const Conv3dProblem q = problem_of_tiles(p, tiling, static_cast<int64_t>(tiles.size()));
  const int64_t outputs = tile_outputs(tiling);
  memory::Scratch<T> in(q.batch * in_volume(q)), out(q.batch * out_volume(q));
  for (int64_t i = 0; i < q.batch; ++i)
    copy_tile(q, tiling, block, tiles[static_cast<std::size_t>(i)], of.x, in.data() + i * in_volume(q));
  gather<T>(q, Tiles::square, of.transpose, whole<const T>(in.data(), q.in_channels), of.w,
            whole(out.data(), q.out_channels), Epilogue<T>());
  std::vector<int64_t> place(static_cast<std::size_t>(block.tiles()), -1);
  for (std::size_t i = 0; i < tiles.size(); ++i)
    place[static_cast<std::size_t>(tiles[i])] = static_cast<int64_t>(i);
  each_output(tiling, block, y, [&](int64_t tile, int64_t output, T* to, int64_t channels, int64_t before) {
    const int64_t i = place[static_cast<std::size_t>(tile)];
    if (i >= 0) std::copy_n(out.data() + (i * outputs + output) * q.out_channels + before, channels, to);
  });
}

template void mend_uneven_tiles<float>(const Gathered<float>&, const Tiling&, const Tiling::Block&,
                                       BlockOutputs<float>&);
template void mend_uneven_tiles<double>(const Gathered<double>&, const Tiling&, const Tiling::Block&,
                                        BlockOutputs<double>&);

}  // namespace vg::kernels::winograd
