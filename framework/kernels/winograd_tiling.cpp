#include "framework/kernels/winograd_tiling.hpp"

#include <algorithm>

#include "framework/kernels/driver.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// The planes of a slice: a + sign * b; -1 is none.
struct Slice {
  int a, b, sign;
};
constexpr Slice input_slices[4] = {{0, 2, -1}, {1, 2, 1}, {2, 1, -1}, {1, 3, -1}};
constexpr Slice gradient_slices[4] = {{0, -1, 1}, {0, 1, 1}, {0, 1, -1}, {-1, 1, -1}};
constexpr Slice only_slice = {0, -1, 1};

}  // namespace

Tiling::Tiling(const Conv3dProblem& p, int64_t tiles) : p_(p) {
  for (int a = 0; a < 3; ++a) {
    three_[a] = p.kernel_size[a] == 3;
    step_[a] = three_[a] ? 2 : 1;
    tiles_[a] = ceil_div(p.out_size[a], step_[a]);
  }
  const int64_t longest = std::max<int64_t>(1, three_[2] ? tiles / 2 : tiles);  // two runs at least share columns' rows
  depth_parts_ = std::max<int64_t>(1, ceil_div(tiles_[2], longest));
  depth_ = ceil_div(tiles_[2], depth_parts_);
  runs_ = std::max<int64_t>(1, tiles / std::max<int64_t>(1, depth_));
  strip_ = std::clamp<int64_t>(runs_, 1, std::max<int64_t>(1, tiles_[1]));
  if (depth_ == 0) depth_parts_ = 0;
  block_count_ = ceil_div(p.batch * tiles_[0] * tiles_[1], runs_);
}

int64_t Tiling::tiles() const { return p_.batch * tiles_[0] * tiles_[1] * tiles_[2]; }

Tiling::Block Tiling::block(int64_t index) const {
  const int64_t part = index / block_count_, first = index % block_count_ * runs_;
  const int64_t begin = tiles_[2] * part / depth_parts_, end = tiles_[2] * (part + 1) / depth_parts_;
  return {first, std::min(first + runs_, p_.batch * tiles_[0] * tiles_[1]), begin, end - begin};
}

Tiling::Place Tiling::place(int64_t run) const {
  const int64_t of_sample = tiles_[0] * tiles_[1], in_sample = run % of_sample;
  const int64_t w0 = in_sample / (tiles_[0] * strip_) * strip_, in_strip = in_sample - w0 * tiles_[0];
  const int64_t width = std::min(strip_, tiles_[1] - w0);
  return {run / of_sample, in_strip / width, w0 + in_strip % width};
}

template <class T>
WinogradGather<T> Tiling::input(const Block& b, int64_t run, int slice, const T* x) const {
  const Place at = place(run);
  const Slice s = three_[0] ? input_slices[slice] : only_slice;
  WinogradGather<T> g{};
  g.sign = static_cast<T>(s.sign);
  g.depth = p_.in_size[2];
  g.first = b.depth_begin * step_[2] - p_.pad[2];
  g.tiles = b.depth_tiles;
  g.channels = g.stride = p_.in_channels;
  const int64_t row_size = p_.in_size[2] * p_.in_channels;
  const auto row = [&](int plane, int64_t w) -> const T* {
    const int64_t h = at.h * step_[0] - p_.pad[0] + plane;
    if (plane < 0 || h < 0 || h >= p_.in_size[0] || w < 0 || w >= p_.in_size[1]) return nullptr;
    return x + at.sample * in_volume(p_) + (h * p_.in_size[1] + w) * row_size;
  };
  for (int r = 0; r < (three_[1] ? 4 : 1); ++r) {
    const int64_t w = at.w * step_[1] - p_.pad[1] + r;
    g.a[r] = row(s.a, w);
    g.b[r] = row(s.b, w);
  }
  return g;
}

template <class T>
WinogradGather<T> Tiling::gradient(const Block& b, int64_t run, int slice, const T* dy) const {
  const Place at = place(run);
  const Slice s = three_[0] ? gradient_slices[slice] : only_slice;
  WinogradGather<T> g{};
  g.sign = static_cast<T>(s.sign);
  g.depth = p_.out_size[2];
  g.first = b.depth_begin * step_[2];
  g.tiles = b.depth_tiles;
  g.channels = g.stride = p_.out_channels;
  const int64_t row_size = p_.out_size[2] * p_.out_channels;
  const auto row = [&](int plane, int64_t w) -> const T* {
    const int64_t h = at.h * step_[0] + plane;
    if (plane < 0 || h >= p_.out_size[0] || w >= p_.out_size[1]) return nullptr;
    return dy + at.sample * out_volume(p_) + (h * p_.out_size[1] + w) * row_size;
  };
  for (int r = 0; r < step_[1]; ++r) {
    g.a[r] = row(s.a, at.w * step_[1] + r);
    g.b[r] = row(s.b, at.w * step_[1] + r);
  }
  return g;
}

template <class T>
WinogradScatter<T> Tiling::output(const Block& b, int64_t run, int slice, T* y) const {
  const Place at = place(run);
  WinogradScatter<T> g{};
  g.tiles = b.depth_tiles;
  g.channels = g.stride = p_.out_channels;
  g.depth = p_.out_size[2] - b.depth_begin * step_[2];
  g.slice = three_[0] ? slice : -1;
  const int64_t row_size = p_.out_size[2] * p_.out_channels;
  for (int i = 0; i < step_[0]; ++i)
    for (int j = 0; j < step_[1]; ++j) {
      const int64_t h = at.h * step_[0] + i, w = at.w * step_[1] + j;
      if (h < p_.out_size[0] && w < p_.out_size[1])
        g.y[i][j] = y + at.sample * out_volume(p_) + (h * p_.out_size[1] + w) * row_size +
                    b.depth_begin * step_[2] * p_.out_channels;
    }
  return g;
}

template WinogradGather<float> Tiling::input(const Block&, int64_t, int, const float*) const;
template WinogradGather<double> Tiling::input(const Block&, int64_t, int, const double*) const;
template WinogradGather<float> Tiling::gradient(const Block&, int64_t, int, const float*) const;
template WinogradGather<double> Tiling::gradient(const Block&, int64_t, int, const double*) const;
template WinogradScatter<float> Tiling::output(const Block&, int64_t, int, float*) const;
template WinogradScatter<double> Tiling::output(const Block&, int64_t, int, double*) const;

}  // namespace vg::kernels::winograd
