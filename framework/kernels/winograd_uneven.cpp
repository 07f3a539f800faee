#include "framework/kernels/winograd_uneven.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "framework/kernels/driver.hpp"
#include "framework/kernels/winograd.hpp"
#include "framework/memory.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// The largest output of a tile may be so many times the smallest, each that of a voxel and a group of channels. What
/// reaches others through a wide tile is then up to 10 times the rounding of the direct kernels.
constexpr double even = 64;
/// The root of the sum of a tile's squares in a channel, 64 outputs at most, may be so many times an ordinary output.
constexpr double ordinary = 128;

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

/// The largest |v| of finite numbers, by lanes that the compiler knows.
template <class T>
T largest(const T* v, int64_t n) {
  constexpr int lanes = 16;
  T most[lanes] = {}, result = 0;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int j = 0; j < lanes; ++j) most[j] = std::abs(v[i + j]) > most[j] ? std::abs(v[i + j]) : most[j];
  for (; i < n; ++i) result = std::max(result, std::abs(v[i]));
  for (const T m : most) result = std::max(result, m);
  return result;
}

/// The same, infinite where one is not finite.
template <class T>
T largest_or_infinity(const T* v, int64_t n) {
  const bool finite = std::all_of(v, v + n, [](T a) { return std::isfinite(a); });
  return finite ? largest(v, n) : std::numeric_limits<T>::infinity();
}

/// The tiles whose outputs are far apart in some group, or not finite. `finite`: all are.
template <class T>
std::vector<int64_t> uneven_tiles(const Conv3dProblem& p, const Tiling& tiling, const Tiling::Block& block,
                                  BlockOutputs<T>& y, bool finite) {
  const int64_t outputs = tile_outputs(tiling), of_group = p.out_channels / p.groups;
  constexpr T none = -1;
  std::vector<T> levels(static_cast<std::size_t>(block.tiles() * p.groups * outputs), none);
  each_output(tiling, block, y, [&](int64_t tile, int64_t output, const T* at, int64_t channels, int64_t before) {
    // several tensors: one group, which goes on
    for (int64_t c = 0; c < channels; c += of_group) {
      const int64_t group = (before + c) / of_group, n = std::min(of_group, channels - c);
      T& level = levels[static_cast<std::size_t>((tile * p.groups + group) * outputs + output)];
      level = std::max(level, finite ? largest(at + c, n) : largest_or_infinity(at + c, n));
    }
  });
  std::vector<int64_t> tiles;
  for (int64_t tile = 0; tile < block.tiles(); ++tile)
    for (int64_t group = 0; group < p.groups; ++group) {
      T least = std::numeric_limits<T>::infinity(), most = 0;
      const T* const level = levels.data() + (tile * p.groups + group) * outputs;
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
T Gathered<T>::ordinary() const {
  std::call_once(once_, [&] {
    const int64_t voxels = p.batch * in_volume(p) / p.in_channels, samples = std::min<int64_t>(voxels, 64);
    std::vector<T> levels;
    for (int64_t i = 0; i < samples; ++i) {
      T level = 0;
      each_part(x, [&](const T* data, int64_t channels, int64_t) {
        level = std::max(level, largest_or_infinity(data + voxels * i / samples * channels, channels));
      });
      if (level > 0) levels.push_back(level);
    }
    std::sort(levels.begin(), levels.end());
    const int64_t weights = taps(p) * p.in_channels / p.groups * p.out_channels;
    const int64_t taken = std::min<int64_t>(weights, 4096);
    double squares = 0;
    for (int64_t i = 0; i < taken; ++i) {
      const double v = static_cast<double>(w[weights * i / taken]);
      squares += v * v;
    }
    const double of_output = squares / static_cast<double>(taken) * static_cast<double>(weights / p.out_channels);
    ordinary_ = levels.empty() ? T(0) : levels[levels.size() / 8] * static_cast<T>(std::sqrt(of_output));
  });
  return ordinary_;
}

template <class T>
void mend_uneven_tiles(const Gathered<T>& of, const Tiling& tiling, const Tiling::Block& block,
                       const WinogradLevels<T>& found, BlockOutputs<T>& y) {
  const bool finite = std::isfinite(found.total);
  if (finite && std::sqrt(found.most) <= T(ordinary) * of.ordinary()) return;
  const std::vector<int64_t> tiles = uneven_tiles(of.p, tiling, block, y, finite);
  if (tiles.empty()) return;
  const Conv3dProblem q = problem_of_tiles(of.p, tiling, static_cast<int64_t>(tiles.size()));
  memory::Scratch<T> in(q.batch * in_volume(q)), out(q.batch * out_volume(q));
  for (int64_t i = 0; i < q.batch; ++i)
    copy_tile(q, tiling, block, tiles[static_cast<std::size_t>(i)], of.x, in.data() + i * in_volume(q));
  gather<T>(q, Tiles::square, of.transpose, whole<const T>(in.data(), q.in_channels), of.w,
            whole(out.data(), q.out_channels), Epilogue<T>());
  std::vector<const T*> from(static_cast<std::size_t>(block.tiles()));  // null where a tile stays
  for (std::size_t i = 0; i < tiles.size(); ++i)
    from[static_cast<std::size_t>(tiles[i])] = out.data() + static_cast<int64_t>(i) * out_volume(q);
  each_output(tiling, block, y, [&](int64_t tile, int64_t output, T* to, int64_t channels, int64_t before) {
    const T* const all = from[static_cast<std::size_t>(tile)];
    if (all != nullptr) std::copy_n(all + output * q.out_channels + before, channels, to);
  });
}

template class Gathered<float>;
template class Gathered<double>;
template void mend_uneven_tiles<float>(const Gathered<float>&, const Tiling&, const Tiling::Block&,
                                       const WinogradLevels<float>&, BlockOutputs<float>&);
template void mend_uneven_tiles<double>(const Gathered<double>&, const Tiling&, const Tiling::Block&,
                                        const WinogradLevels<double>&, BlockOutputs<double>&);

}  // namespace vg::kernels::winograd
