#include "voxgrad/framework/kernels/winograd/uneven.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// A tile is even if its largest output is at most so many times its smallest; the size of an output is the largest of
/// a voxel within a group of channels. Errors that reach other outputs through a wide tile are then at most 10 times
/// those of the direct kernels.
constexpr double largest_ratio = 64;
/// The root of the sum of squares of a tile's outputs in one channel (at most 64 outputs) may be so many times an
/// ordinary output.
constexpr double ordinary = 128;

int64_t tile_outputs(const Tiling& tiling) {
  return tiling.points().step(0) * tiling.points().step(1) * tiling.points().step(2);
}

/// f(tile of the block, output of the tile, address of its channels in a tensor, number of these channels, number of
/// channels in the tensors before) for all outputs that exist.
template <class T, class F>
void each_output(const Tiling& tiling, const Tiling::Block& block, BlockOutputs<T>& y, const F& f) {
  const int64_t step_h = tiling.points().step(0), step_w = tiling.points().step(1), step_d = tiling.points().step(2);
  y.each_side(block, 0, [&](const OutputTransformArgs<T>& g, int64_t run, int64_t before) {
    const int64_t depth = std::min(g.depth, block.depth_tiles * step_d);
    for (int64_t h = 0; h < step_h; ++h)
      for (int64_t w = 0; w < step_w; ++w)
        for (int64_t d = 0; g.y[h][w] != nullptr && d < depth; ++d)
          f((run - block.run_begin) * block.depth_tiles + d / step_d, (h * step_w + w) * step_d + d % step_d,
            g.y[h][w] + d * g.stride, g.channels, before);
  });
}

/// The largest |v|; infinity if any v is not finite.
template <class T>
T largest_or_infinity(const T* v, int64_t n) {
  const T most = current_winograd_table<T>().largest(1, n, v, n);
  return std::isfinite(most) ? most : std::numeric_limits<T>::infinity();
}

/// The largest |output| of each voxel in a block's tiles, separately for each group.
template <class T>
class OutputLevels {
 public:
  OutputLevels(const Conv3dProblem& p, const Tiling& tiling, const Tiling::Block& block, BlockOutputs<T>& y)
      : groups_(p.groups),
        outputs_(tile_outputs(tiling)),
        levels_(static_cast<std::size_t>(block.tiles() * groups_ * outputs_), none) {
    const int64_t of_group = p.out_channels / p.groups;
    each_output(tiling, block, y, [&](int64_t tile, int64_t output, const T* at, int64_t channels, int64_t before) {
      // several tensors imply one group, which continues from tensor to tensor
      for (int64_t c = 0; c < channels; c += of_group) {
        const int64_t n = std::min(of_group, channels - c);
        T& level = levels_[index(tile, (before + c) / of_group, output)];
        level = std::max(level, largest_or_infinity(at + c, n));
      }
    });
  }
  std::size_t index(int64_t tile, int64_t group, int64_t output) const {
    return static_cast<std::size_t>((tile * groups_ + group) * outputs_ + output);
  }
  T most(int64_t tile, int64_t group) const {
    const T* const level = levels_.data() + index(tile, group, 0);
    return *std::max_element(level, level + outputs_);
  }
  /// f(output) for all outputs that are far below `most`.
  template <class F>
  void each_low(int64_t tile, int64_t group, T most, const F& f) const {
    const T* const level = levels_.data() + index(tile, group, 0);
    for (int64_t i = 0; i < outputs_; ++i)
      if (most > T(largest_ratio) * level[i] && level[i] != none) f(i);
  }

 private:
  static constexpr T none = -1;
  int64_t groups_, outputs_;
  std::vector<T> levels_;
};

/// The convolution that computes the outputs of `tiles` tiles alone: one sample per tile, without padding or dilation.
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

/// Finds the outputs of a tile that use only zeros within a group. A voxel is read at most once, and only if the voxels
/// read before it are zero: for ordinary inputs, about one of three voxels along each axis with three taps is read.
template <class T>
class ZeroInputs {
 public:
  /// `q`: see problem_of_tiles.
  ZeroInputs(const Conv3dProblem& q, const Tiling& tiling, const Tiling::Block& block, const ConcatView<const T>& x)
      : q_(q),
        tiling_(tiling),
        block_(block),
        x_(x),
        known_(static_cast<std::size_t>(q.groups * in_volume(q) / q.in_channels)) {}

  /// Selects the tile for each().
  void move_to(int64_t tile) {
    std::fill(known_.begin(), known_.end(), Known::nothing);
    parts_.clear();
    for_each_source(x_, [&](const T* data, int64_t channels, int64_t) {
      parts_.push_back(tiling_.all_inputs(block_, block_.run_begin + tile / block_.depth_tiles, data, channels));
    });
    first_ = parts_[0].first + tile % block_.depth_tiles * q_.out_size[2];
  }
  /// f(output) for all outputs that use only zeros in a group.
  template <class F>
  void each(int64_t group, const F& f) {
    const int64_t(&k)[3] = q_.kernel_size, (&size)[3] = q_.out_size;
    // in each box of k outputs along each axis an output can use only zeros if the voxel that all of them use is zero
    for (int64_t h = 0; h < size[0]; h += k[0])
      for (int64_t w = 0; w < size[1]; w += k[1])
        for (int64_t d = 0; d < size[2]; d += k[2])
          if (is_zero(group, h + k[0] - 1, w + k[1] - 1, d + k[2] - 1)) each_of(group, {h, w, d}, f);
  }

 private:
  enum class Known : char { nothing, zero, other };

  /// The same for the outputs from `first` to first + k - 1 along each axis.
  template <class F>
  void each_of(int64_t group, const std::array<int64_t, 3>& first, const F& f) {
    const int64_t(&k)[3] = q_.kernel_size, (&size)[3] = q_.out_size;
    for (int64_t h = first[0]; h < std::min(first[0] + k[0], size[0]); ++h)
      for (int64_t w = first[1]; w < std::min(first[1] + k[1], size[1]); ++w)
        for (int64_t d = first[2]; d < std::min(first[2] + k[2], size[2]); ++d)
          if (is_window_zero(group, h, w, d)) f((h * size[1] + w) * size[2] + d);
  }
  bool is_window_zero(int64_t group, int64_t h, int64_t w, int64_t d) {
    for (int64_t i = 0; i < q_.kernel_size[0]; ++i)
      for (int64_t j = 0; j < q_.kernel_size[1]; ++j)
        for (int64_t l = 0; l < q_.kernel_size[2]; ++l)
          if (!is_zero(group, h + i, w + j, d + l)) return false;
    return true;
  }
  bool is_zero(int64_t group, int64_t h, int64_t w, int64_t d) {
    Known& known =
        known_[static_cast<std::size_t>(((group * q_.in_size[0] + h) * q_.in_size[1] + w) * q_.in_size[2] + d)];
    if (known == Known::nothing) known = reads_zero(group, h, w, first_ + d) ? Known::zero : Known::other;
    return known == Known::zero;
  }
  bool reads_zero(int64_t group, int64_t h, int64_t w, int64_t depth) const {
    for (const InputTransformArgs<T>& g : parts_) {
      if (g.rows[h][w] == nullptr || depth < 0 || depth >= g.depth) return true;
      const int64_t n = g.channels / q_.groups;  // several tensors imply one group
      const T* const at = g.rows[h][w] + depth * g.stride + group * n;
      if (*at != 0) return false;
      int others = 0;  // no branches, so that comparisons are vectorized
      for (int64_t c = 1; c < n; ++c) others |= static_cast<int>(!(at[c] == 0));
      if (others != 0) return false;
    }
    return true;
  }

  const Conv3dProblem& q_;
  const Tiling& tiling_;
  const Tiling::Block& block_;
  const ConcatView<const T>& x_;
  std::vector<Known> known_;
  std::vector<InputTransformArgs<T>> parts_;
  int64_t first_ = 0;
};

/// Copies the inputs of a tile to [h][w][d][channel], with zeros outside of the volume.
template <class T>
void copy_tile(const Conv3dProblem& q, const Tiling& tiling, const Tiling::Block& block, int64_t tile,
               const ConcatView<const T>& x, T* to) {
  const int64_t run = block.run_begin + tile / block.depth_tiles, t = tile % block.depth_tiles;
  for_each_source(x, [&](const T* data, int64_t channels, int64_t before) {
    const InputTransformArgs<T> g = tiling.all_inputs(block, run, data, channels);
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
T DataPassOperands<T>::ordinary() const {
  std::call_once(once_, [&] {
    const int64_t voxels = p.batch * in_volume(p) / p.in_channels, samples = std::min<int64_t>(voxels, 64);
    std::vector<T> levels;
    for (int64_t i = 0; i < samples; ++i) {
      T level = 0;
      for_each_source(x, [&](const T* data, int64_t channels, int64_t) {
        level = std::max(level, largest_or_infinity(data + voxels * i / samples * channels, channels));
      });
      if (level > 0) levels.push_back(level);
    }
    std::sort(levels.begin(), levels.end());
    const int64_t weights = taps(p) * p.in_channels / p.groups * p.out_channels;
    const int64_t taken = std::min<int64_t>(weights, 1024);
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

namespace {

/// Which outputs of a block become zero, and which tiles are computed again.
class Mending {
 public:
  Mending(const Conv3dProblem& p, int64_t all_tiles, int64_t outputs)
      : groups_(p.groups), outputs_(outputs), clear_(static_cast<std::size_t>(all_tiles * p.groups * outputs)) {}

  std::vector<int64_t> tiles;  ///< to be computed again
  bool any() const { return any_clear_ || !tiles.empty(); }
  bool is_clear(int64_t tile, int64_t group, int64_t output) const { return clear_[index(tile, group, output)]; }
  template <class T>
  void clear(int64_t tile, ZeroInputs<T>& zeros) {
    for (int64_t group = 0; group < groups_; ++group)
      zeros.each(group, [&](int64_t output) { clear_[index(tile, group, output)] = any_clear_ = true; });
  }
  template <class T>
  void compute_if_uneven(int64_t tile, const OutputLevels<T>& levels) {
    bool uneven = false;
    for (int64_t group = 0; group < groups_; ++group) {
      const T most = levels.most(tile, group);
      uneven = uneven || !std::isfinite(most);
      levels.each_low(tile, group, most, [&](int64_t i) { uneven = uneven || !is_clear(tile, group, i); });
    }
    if (uneven) tiles.push_back(tile);
  }

 private:
  std::size_t index(int64_t tile, int64_t group, int64_t output) const {
    return static_cast<std::size_t>((tile * groups_ + group) * outputs_ + output);
  }
  int64_t groups_, outputs_;
  std::vector<char> clear_;
  bool any_clear_ = false;
};

}  // namespace

template <class T>
void mend_uneven_tiles(const DataPassOperands<T>& of, const Tiling& tiling, const Tiling::Block& block,
                       const WinogradLevels<T>& found, BlockOutputs<T>& y) {
  Conv3dProblem q = problem_of_tiles(of.p, tiling, 1);
  Mending mending(q, block.tiles(), tile_outputs(tiling));
  ZeroInputs<T> zeros(q, tiling, block, of.x);
  for (int64_t tile = 0; tile < block.tiles(); ++tile) {
    zeros.move_to(tile);
    mending.clear(tile, zeros);
  }
  if (!std::isfinite(found.total) || !(std::sqrt(found.most) <= T(ordinary) * of.ordinary())) {
    const OutputLevels<T> levels(q, tiling, block, y);
    for (int64_t tile = 0; tile < block.tiles(); ++tile) mending.compute_if_uneven(tile, levels);
  }
  if (!mending.any()) return;
  q.batch = static_cast<int64_t>(mending.tiles.size());
  memory::Scratch<T> in(q.batch * in_volume(q)), out(q.batch * out_volume(q));
  std::vector<const T*> again(static_cast<std::size_t>(block.tiles()));  // null if a tile is kept
  for (int64_t i = 0; i < q.batch; ++i) {
    const int64_t tile = mending.tiles[static_cast<std::size_t>(i)];
    copy_tile(q, tiling, block, tile, of.x, in.data() + i * in_volume(q));
    again[static_cast<std::size_t>(tile)] = out.data() + i * out_volume(q);
  }
  if (q.batch > 0)
    data_pass<T>(q, WinogradTile::f2, of.transpose, single<const T>(in.data(), q.in_channels), of.w,
                 single(out.data(), q.out_channels), Epilogue<T>());
  const int64_t of_group = q.out_channels / q.groups;
  each_output(tiling, block, y, [&](int64_t tile, int64_t output, T* to, int64_t channels, int64_t before) {
    if (const T* const all = again[static_cast<std::size_t>(tile)]; all != nullptr) {
      std::copy_n(all + output * q.out_channels + before, channels, to);
      return;
    }
    for (int64_t c = 0; c < channels; c += of_group)
      if (mending.is_clear(tile, (before + c) / of_group, output))
        std::fill_n(to + c, std::min(of_group, channels - c), T(0));
  });
}

template class DataPassOperands<float>;
template class DataPassOperands<double>;
template void mend_uneven_tiles<float>(const DataPassOperands<float>&, const Tiling&, const Tiling::Block&,
                                       const WinogradLevels<float>&, BlockOutputs<float>&);
template void mend_uneven_tiles<double>(const DataPassOperands<double>&, const Tiling&, const Tiling::Block&,
                                        const WinogradLevels<double>&, BlockOutputs<double>&);

}  // namespace vg::kernels::winograd
