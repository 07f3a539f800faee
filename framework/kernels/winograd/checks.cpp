#include "voxgrad/framework/kernels/winograd/checks.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

// ---- data passes ------------------------------------------------------------------------------------------------

namespace {

/// A tile is even if its largest output is at most so many times its smallest; the size of an output is the largest of
/// a voxel within a group of channels. Errors that reach other outputs through a wide tile are then at most 10 times
/// those of the direct kernels.
constexpr double largest_ratio = 64;
/// The root of the sum of squares of a tile's outputs in one channel (at most 64 outputs) may be so many times an
/// ordinary output.
constexpr double ordinary = 128;

/// f(tile of the block, output of the tile, address of its channels in a tensor, number of these channels, number of
/// channels in the tensors before) for all outputs that exist.
template <class T, class F>
void each_output(const Tiling& tiling, const Tiling::Block& block, BlockOutputs<T>& y, const F& f) {
  const int64_t step_h = tiling.scheme().outputs[0], step_w = tiling.scheme().outputs[1],
                step_d = tiling.scheme().outputs[2];
  y.each_run(block, 0, [&](const OutputTransformArgs<T>& g, int64_t run, int64_t before) {
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
        outputs_(tiling.scheme().tile_outputs()),
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
  /// Whether an output of the tile is not finite, or one that is not ignored is far below the largest.
  template <class Ignored>
  bool is_uneven(int64_t tile, int64_t group, const Ignored& ignored) const {
    const T* const level = levels_.data() + index(tile, group, 0);
    const T most = *std::max_element(level, level + outputs_);
    bool uneven = !std::isfinite(most);
    for (int64_t i = 0; i < outputs_ && !uneven; ++i)
      uneven = most > T(largest_ratio) * level[i] && level[i] != none && !ignored(i);
    return uneven;
  }

 private:
  std::size_t index(int64_t tile, int64_t group, int64_t output) const {
    return static_cast<std::size_t>((tile * groups_ + group) * outputs_ + output);
  }
  static constexpr T none = -1;
  int64_t groups_, outputs_;
  std::vector<T> levels_;
};

/// The convolution that computes the outputs of `tiles` tiles alone: one sample per tile, without padding or dilation.
Conv3dProblem problem_of_tiles(const Conv3dProblem& p, const Tiling& tiling, int64_t tiles) {
  Conv3dProblem q = p;
  q.batch = tiles;
  for (int a = 0; a < 3; ++a) {
    q.out_size[a] = tiling.scheme().outputs[a];
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
    std::fill(known_.begin(), known_.end(), std::nullopt);
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
    std::optional<bool>& known =
        known_[static_cast<std::size_t>(((group * q_.in_size[0] + h) * q_.in_size[1] + w) * q_.in_size[2] + d)];
    if (!known) known = reads_zero(group, h, w, first_ + d);
    return *known;
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
  std::vector<std::optional<bool>> known_;  // whether a voxel is zero
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

template <class T>
void mend_uneven_tiles(const DataPassOperands<T>& of, const Tiling& tiling, const Tiling::Block& block,
                       const WinogradLevels<T>& found, BlockOutputs<T>& y) {
  Conv3dProblem q = problem_of_tiles(of.p, tiling, 1);
  const int64_t outputs = tiling.scheme().tile_outputs(), of_group = q.out_channels / q.groups;
  std::vector<char> becomes_zero(static_cast<std::size_t>(block.tiles() * q.groups * outputs));
  const auto index = [&](int64_t tile, int64_t group, int64_t output) {
    return static_cast<std::size_t>((tile * q.groups + group) * outputs + output);
  };
  bool any_zero = false;
  ZeroInputs<T> zeros(q, tiling, block, of.x);
  for (int64_t tile = 0; tile < block.tiles(); ++tile) {
    zeros.move_to(tile);
    for (int64_t group = 0; group < q.groups; ++group)
      zeros.each(group, [&](int64_t output) { becomes_zero[index(tile, group, output)] = any_zero = true; });
  }
  std::vector<int64_t> uneven;  // tiles to be computed again
  if (!std::isfinite(found.total) || !(std::sqrt(found.most) <= T(ordinary) * of.ordinary())) {
    const OutputLevels<T> levels(q, tiling, block, y);
    for (int64_t tile = 0; tile < block.tiles(); ++tile) {
      bool is_uneven = false;
      for (int64_t group = 0; group < q.groups; ++group)
        is_uneven = is_uneven || levels.is_uneven(tile, group, [&](int64_t output) {
          return becomes_zero[index(tile, group, output)] != 0;
        });
      if (is_uneven) uneven.push_back(tile);
    }
  }
  if (!any_zero && uneven.empty()) return;
  q.batch = static_cast<int64_t>(uneven.size());
  memory::Scratch<T> in(q.batch * in_volume(q)), out(q.batch * out_volume(q));
  std::vector<const T*> again(static_cast<std::size_t>(block.tiles()));  // null if a tile is kept
  for (int64_t i = 0; i < q.batch; ++i) {
    const int64_t tile = uneven[static_cast<std::size_t>(i)];
    copy_tile(q, tiling, block, tile, of.x, in.data() + i * in_volume(q));
    again[static_cast<std::size_t>(tile)] = out.data() + i * out_volume(q);
  }
  if (q.batch > 0)
    data_pass<T>(q, WinogradTile::f2, of.transpose, single<const T>(in.data(), q.in_channels), of.w,
                 single(out.data(), q.out_channels), Epilogue<T>());
  each_output(tiling, block, y, [&](int64_t tile, int64_t output, T* to, int64_t channels, int64_t before) {
    if (const T* const all = again[static_cast<std::size_t>(tile)]; all != nullptr) {
      std::copy_n(all + output * q.out_channels + before, channels, to);
      return;
    }
    for (int64_t c = 0; c < channels; c += of_group)
      if (becomes_zero[index(tile, (before + c) / of_group, output)] != 0)
        std::fill_n(to + c, std::min(of_group, channels - c), T(0));
  });
}

// ---- backward-weights -------------------------------------------------------------------------------------------

namespace {

/// The largest sum may be so many times the smallest tap. For ordinary values both have about the same size.
constexpr double largest_excess = 8;
/// The largest value of a voxel may be so many times that of another voxel.
constexpr double even_voxels = 64;

/// Points that together use every element of a tile, with their coefficients in the taps.
std::vector<std::pair<int64_t, double>> shares_of(const Scheme& scheme) {
  std::vector<std::pair<int64_t, double>> shares;
  if (scheme.strided)
    for (int64_t i = 0; i < scheme.w_points(); ++i) shares.emplace_back(i, 1);
  if (scheme.strided) return shares;
  if (scheme.has_wide_tiles()) {
    // PointPair::plus_minus_1 and zero_inf: the pair, the number within it, its coefficient
    const std::tuple<int, int, double> along[3] = {{0, 0, 0.25}, {1, 0, 1}, {1, 1, 1}};
    for (const auto& [pair_h, h, share_h] : along)
      for (const auto& [pair_w, w, share_w] : along)
        for (const auto& [pair_d, d, share_d] : along)
          shares.emplace_back(
              scheme.before(wide::slices_per_stage * pair_h + pair_w) + 7 * (2 * h + w) + 2 * pair_d + d,
              share_h * share_w * share_d);
    return shares;
  }
  const auto along = [&](int axis) -> std::vector<std::pair<int64_t, double>> {
    if (scheme.along[axis] == 1) return {{0, 1}};
    if (scheme.along[axis] == 4) return {{0, 1}, {1, 0.5}, {3, 1}};
    return {{0, 0.94}, {1, 0.6}, {5, 1}};  // from real_points
  };
  for (const auto& [h, share_h] : along(0))
    for (const auto& [w, share_w] : along(1))
      for (const auto& [d, share_d] : along(2))
        shares.emplace_back((h * scheme.along[1] + w) * scheme.along[2] + d, share_h * share_w * share_d);
  return shares;
}

/// Whether any output uses a tap along an axis, that is, the tap does not always fall on padding.
bool is_used(const Conv3dProblem& p, int axis, int64_t tap) {
  const int64_t before = p.pad[axis] - tap * p.rhs_dilation[axis];
  const int64_t first = before <= 0 ? 0 : ceil_div(before, p.stride[axis]);
  return first < p.out_size[axis] && first * p.stride[axis] - before < p.in_size[axis];
}

}  // namespace

template <class T>
bool has_even_voxels(int64_t voxels, int64_t channels, const T* v) {
  const auto largest = current_winograd_table<T>().largest;
  T most = 0, least = std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < voxels; ++i) {
    const T of_voxel = largest(1, channels, v + i * channels, channels);
    if (!std::isfinite(of_voxel)) return false;
    most = std::max(most, of_voxel);
    if (of_voxel != 0) least = std::min(least, of_voxel);
  }
  return most == 0 || most <= T(even_voxels) * least;
}

template <class T>
SumsCheck<T>::SumsCheck(const Conv3dProblem& p, const Scheme& scheme, int64_t tasks)
    : shares_(shares_of(scheme)),
      taps_(taps(p)),
      most_sums_(static_cast<std::size_t>(tasks)),
      most_taps_(static_cast<std::size_t>(tasks * taps_)) {
  for (int64_t h = 0; h < p.kernel_size[0]; ++h)
    for (int64_t w = 0; w < p.kernel_size[1]; ++w)
      for (int64_t d = 0; d < p.kernel_size[2]; ++d)
        is_used_.push_back(is_used(p, 0, h) && is_used(p, 1, w) && is_used(p, 2, d));
}

template <class T>
void SumsCheck<T>::add_points(int64_t task, int64_t rows, int64_t channels, const T* u, int64_t point_stride,
                              int64_t stride) {
  T& most = most_sums_[static_cast<std::size_t>(task)];
  const auto largest = current_winograd_table<T>().largest;
  for (const auto& [point, share] : shares_) {
    const T of_point = static_cast<T>(share) * largest(rows, channels, u + point * point_stride, stride);
    if (!(of_point <= most) && std::isfinite(most)) most = of_point;
  }
}

template <class T>
void SumsCheck<T>::add_tap(int64_t task, int64_t tap, int64_t rows, int64_t channels, const T* dw, int64_t stride) {
  T& most = most_taps_[static_cast<std::size_t>(task * taps_ + tap)];
  const T of_rows = current_winograd_table<T>().largest(rows, channels, dw, stride);
  if (!(of_rows <= most)) most = of_rows;
}

template <class T>
bool SumsCheck<T>::are_even() const {
  T sums = 0;
  for (const T most : most_sums_) {
    if (!std::isfinite(most)) return false;
    sums = std::max(sums, most);
  }
  for (int64_t tap = 0; tap < taps_; ++tap) {
    T most = 0;
    for (std::size_t at = static_cast<std::size_t>(tap); at < most_taps_.size();
         at += static_cast<std::size_t>(taps_)) {
      if (!std::isfinite(most_taps_[at])) return false;
      most = std::max(most, most_taps_[at]);
    }
    if (is_used_[static_cast<std::size_t>(tap)] && !(sums <= T(largest_excess) * most)) return false;
  }
  return true;
}

template class DataPassOperands<float>;
template class DataPassOperands<double>;
template void mend_uneven_tiles<float>(const DataPassOperands<float>&, const Tiling&, const Tiling::Block&,
                                       const WinogradLevels<float>&, BlockOutputs<float>&);
template void mend_uneven_tiles<double>(const DataPassOperands<double>&, const Tiling&, const Tiling::Block&,
                                        const WinogradLevels<double>&, BlockOutputs<double>&);
template bool has_even_voxels<float>(int64_t, int64_t, const float*);
template bool has_even_voxels<double>(int64_t, int64_t, const double*);
template class SumsCheck<float>;
template class SumsCheck<double>;

}  // namespace vg::kernels::winograd
