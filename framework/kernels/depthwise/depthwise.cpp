// For the j-th input channel of its groups, a vector of output channels uses a fixed choice of input channels. The
// driver copies these for a block of W x D and as many planes of H as the kernel has (`InputRing`), with one copy per
// vector and j. A copy is contiguous and has zeros where D is padded. Taps whose rows are outside the input in H or W
// are skipped instead. The kernels (depthwise-inl.hpp) then slide along D.
//
// A task is a sample, a block of W x D, a run of planes of H, and up to four vectors of output channels, so that
// contiguous channels of a voxel are read once. (Reading one line of each voxel at a time costs 5 to 11 ns per line,
// more than its 27 FMAs.) grad_weight distributes these units, in order, among partial sums, whose number depends on
// the shape only, and adds these in order. Zeros are multiplied where D is padded (and W, in grad_weight), which is
// wrong if weights (dy) are not finite.
#include "voxgrad/framework/kernels/depthwise/depthwise.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/pack.hpp"
#include "voxgrad/framework/kernels/depthwise/table.hpp"

namespace vg::kernels::depthwise {

using std::int64_t;

namespace {

constexpr int64_t most_lanes = 16;

struct Identity {
  std::int32_t lane[most_lanes];
  constexpr Identity() : lane() {
    for (int l = 0; l < most_lanes; ++l) lane[l] = l;
  }
};
constexpr Identity identity;

/// How a problem is cut. Sizes of blocks are upper bounds; the last ones may be smaller.
struct Blocking {
  int64_t lanes, ci, co;     ///< ci, co: channels per group
  int64_t vectors;           ///< of output channels
  bool shared;               ///< all vectors use the same inputs
  int64_t v_size, v_blocks;  ///< vectors per task, and blocks of that many
  DepthwiseInput input;      ///< how the kernels load the copies of the inputs
  int64_t sources, x_step;   ///< copies per task; elements per voxel in one
  int64_t together;          ///< vectors of a line, which one call stores non-temporally; 0: normal stores
  int64_t vector_size;       ///< elements of a vector's weights, [input channel][tap][lane]
  int64_t h_size, w_size, d_size, h_blocks, w_blocks, d_blocks;

  int64_t units() const { return h_blocks * w_blocks * d_blocks; }
};

/// The number of blocks of about equal sizes up to `most`; writes the size.
int64_t blocks_of(int64_t n, int64_t most, int64_t* size) {
  const int64_t blocks = ceil_div(n, std::max<int64_t>(1, most));
  *size = std::max<int64_t>(1, ceil_div(n, std::max<int64_t>(1, blocks)));
  return ceil_div(n, *size);
}

/// Inputs are permuted if the input channels of every vector of output channels fit one vector.
template <class T>
DepthwiseInput input_of(const Conv3dProblem& p, const Blocking& c) {
  if (c.shared) return DepthwiseInput::broadcast;
  if (c.ci == 1 || !has_permuted_inputs<T>) return DepthwiseInput::vectors;  // if ci is 1, there is one copy anyway
  for (int64_t v = 0; v < c.vectors; ++v) {
    const int64_t first = v * c.lanes / c.co, last = (std::min(p.out_channels, (v + 1) * c.lanes) - 1) / c.co;
    if ((last - first + 1) * c.ci > c.lanes) return DepthwiseInput::vectors;
  }
  return DepthwiseInput::permuted;
}

template <class T>
Blocking blocking_of(const Conv3dProblem& p) {
  Blocking c{};
  c.lanes = depthwise_table<T>(p.out_channels).lanes;
  c.ci = p.in_channels / p.groups;
  c.co = p.out_channels / p.groups;
  c.vectors = ceil_div(p.out_channels, c.lanes);
  c.shared = p.groups == 1;
  c.v_blocks = blocks_of(c.vectors, c.shared ? c.vectors : std::max<int64_t>(1, c.ci == 1 ? 4 : 4 / c.ci), &c.v_size);
  c.input = input_of<T>(p, c);
  c.sources = c.shared ? 1 : c.input == DepthwiseInput::vectors ? c.ci * c.v_size : c.v_size;
  c.x_step = c.shared ? c.ci : c.lanes;
  c.vector_size = c.ci * taps(p) * c.lanes;
  c.d_blocks = blocks_of(p.out_size[2], 128 / std::min<int64_t>(c.sources, 4), &c.d_size);
  // the ring has half of L2, or more if too many rows would be read twice
  const int64_t row = p.kernel_size[0] * c.sources * (c.d_size + p.kernel_size[2] - 1) * c.x_step * int64_t{sizeof(T)};
  const int64_t rows = std::max(p.kernel_size[1] + 7, cache::depthwise_ring / row);
  c.w_blocks = blocks_of(p.out_size[1], rows - p.kernel_size[1] + 1, &c.w_size);
  const int64_t others = p.batch * c.w_blocks * c.d_blocks * c.v_blocks;
  const int64_t wanted = ceil_div(32, std::max<int64_t>(1, others));
  // planes that two blocks share are copied twice: blocks are tall, or lower if there are few tasks
  const int64_t least = others < 4 ? p.kernel_size[0] + 1 : 4 * p.kernel_size[0];
  c.h_blocks = blocks_of(p.out_size[0], std::max(ceil_div(p.out_size[0], wanted), least), &c.h_size);
  return c;
}

template <class T>
bool all_finite(const T* a, int64_t n) {
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) finite &= std::abs(a[i]) <= std::numeric_limits<T>::max();
  return finite;
}

/// The part of the output that a task works on.
struct Unit {
  int64_t batch, h_begin, h_end, w_begin, w_count, d_begin, d_count;
};

Unit unit_of(const Conv3dProblem& p, const Blocking& c, int64_t index) {
  const int64_t d = index % c.d_blocks * c.d_size, w = index / c.d_blocks % c.w_blocks * c.w_size;
  index /= c.d_blocks * c.w_blocks;
  const int64_t h = index % c.h_blocks * c.h_size;
  return {index / c.h_blocks,
          h,
          std::min(p.out_size[0], h + c.h_size),
          w,
          std::min(c.w_size, p.out_size[1] - w),
          d,
          std::min(c.d_size, p.out_size[2] - d)};
}

/// The input channels of the lanes of a vector of output channels.
struct Lanes {
  int64_t first, span, count;     ///< the first; one past the last, relative to it; number of output channels
  std::int32_t lane[most_lanes];  ///< relative to `first`, for the first input channel of their groups
};

Lanes lanes_of(const Conv3dProblem& p, const Blocking& c, int64_t vector) {
  const int64_t channel = vector * c.lanes;
  Lanes s{channel / c.co * c.ci, 0, std::min(c.lanes, p.out_channels - channel), {}};
  for (int64_t l = 0; l < s.count; ++l) s.lane[l] = static_cast<std::int32_t>((channel + l) / c.co * c.ci - s.first);
  s.span = s.lane[s.count - 1] + 1;
  return s;
}

/// The inputs of a unit. kH planes of them are stored at a time.
template <class T>
class InputRing {
 public:
  InputRing(const Conv3dProblem& p, const Blocking& c, const T* x)
      : p_(p),
        c_(c),
        x_(x),
        row_((c.d_size + p.kernel_size[2] - 1) * c.x_step),
        source_(row_ * (c.w_size + p.kernel_size[1] - 1)),
        memory_(source_ * c.sources * p.kernel_size[0]),
        index_(c.shared ? 0 : c.v_size * c.ci * most_lanes) {}

  /// Starts a unit for the vectors [v_begin, v_end).
  void begin(const Unit& unit, int64_t v_begin, int64_t v_end) {
    unit_ = unit;
    next_plane_ = unit.h_begin;
    vectors_ = c_.shared ? 0 : v_end - v_begin;
    sources_ = c_.shared ? 1 : c_.input == DepthwiseInput::vectors ? vectors_ * c_.ci : vectors_;
    for (int64_t v = 0; v < vectors_; ++v) {
      lanes_[v] = lanes_of(p_, c_, v_begin + v);
      for (int64_t j = 0; j < c_.ci; ++j)
        for (int64_t l = 0; l < most_lanes; ++l)
          index_.data()[(v * c_.ci + j) * most_lanes + l] = lanes_[v].lane[l] + static_cast<std::int32_t>(j);
    }
  }

  /// Copies the planes that output plane h uses and that are not stored yet. `zero_rows`: zeroes rows outside W.
  void fill(int64_t h, bool zero_rows) {
    for (; next_plane_ < h + p_.kernel_size[0]; ++next_plane_) {
      if (!inside(0, next_plane_)) continue;
      for (int64_t r = 0; r < unit_.w_count + p_.kernel_size[1] - 1; ++r) {
        if (has_row(r))
          fill_row(r);
        else if (zero_rows)
          for (int64_t s = 0; s < sources_; ++s) std::fill_n(plane(next_plane_, s) + r * row_, row_, T(0));
      }
    }
  }

  /// Whether row r of the block, which output row r reads at tap 0, is inside the input.
  bool has_row(int64_t r) const { return inside(1, unit_.w_begin + r); }
  bool has_plane(int64_t h) const { return inside(0, h); }
  /// The plane that output plane h reads at tap 0, for input channel j of vector v (from v_begin on).
  const T* inputs(int64_t h, int64_t v, int64_t j) {
    if (c_.input == DepthwiseInput::broadcast) return plane(h, 0) + j;
    return plane(h, c_.input == DepthwiseInput::vectors ? v * c_.ci + j : v);
  }
  /// The input lane of each lane, if inputs are permuted.
  const std::int32_t* lane(int64_t v, int64_t j) {
    return c_.shared ? nullptr : index_.data() + (v * c_.ci + j) * most_lanes;
  }
  int64_t row_size() const { return row_; }

 private:
  bool inside(int axis, int64_t padded) const {
    return padded >= p_.pad[axis] && padded - p_.pad[axis] < p_.in_size[axis];
  }

  void fill_row(int64_t r) {
    const int64_t width = unit_.d_count + p_.kernel_size[2] - 1, at = unit_.d_begin - p_.pad[2];  // of column 0
    const int64_t begin = std::clamp<int64_t>(-at, 0, width), end = std::clamp(p_.in_size[2] - at, begin, width);
    const int64_t h = next_plane_ - p_.pad[0], w = unit_.w_begin + r - p_.pad[1];
    const int64_t row = ((unit_.batch * p_.in_size[0] + h) * p_.in_size[1] + w) * p_.in_size[2];
    const T* const x = x_ + (row + (begin < end ? at + begin : 0)) * p_.in_channels;
    if (c_.shared) return copy_row(x, begin, end, width, plane(next_plane_, 0) + r * row_);
    const int64_t inputs = c_.input == DepthwiseInput::vectors ? c_.ci : 1;
    for (int64_t v = 0; v < vectors_; ++v)
      for (int64_t j = 0; j < inputs; ++j) {
        const Lanes& s = lanes_[v];
        T* const to = plane(next_plane_, v * inputs + j) + r * row_;
        std::fill_n(to, begin * c_.lanes, T(0));
        if (c_.input == DepthwiseInput::vectors)
          fill({x + s.first + j, p_.in_channels, end - begin, s.lane, s.span, s.count, to + begin * c_.lanes});
        else
          fill({x + s.first, p_.in_channels, end - begin, identity.lane, s.span + c_.ci - 1, s.span + c_.ci - 1,
                to + begin * c_.lanes});
        std::fill_n(to + end * c_.lanes, (width - end) * c_.lanes, T(0));
      }
  }

  void fill(const DepthwiseFill<T>& a) const { depthwise_table<T>(p_.out_channels).fill(a); }

  void copy_row(const T* x, int64_t begin, int64_t end, int64_t width, T* to) const {
    std::fill_n(to, begin * c_.ci, T(0));
    std::copy_n(x, (end - begin) * c_.ci, to + begin * c_.ci);
    std::fill_n(to + end * c_.ci, (width - end) * c_.ci, T(0));
  }

  T* plane(int64_t h, int64_t source) {
    return memory_.data() + (h % p_.kernel_size[0] * c_.sources + source) * source_;
  }

  const Conv3dProblem& p_;
  const Blocking& c_;
  const T* x_;
  int64_t row_, source_;
  memory::Scratch<T> memory_;
  Unit unit_{};
  int64_t next_plane_ = 0, vectors_ = 0, sources_ = 0;
  Lanes lanes_[4];
  memory::Scratch<std::int32_t> index_;
};

// ---- forward and grad_input ----------------------------------------------------------------------------------------

/// Packs w as [vector][part][tap][lane]; lanes beyond the channels are unspecified.
template <class T>
void pack_vectors(const Conv3dProblem& p, const Blocking& c, const Weights<T>& w, T* packed) {
  for (int64_t v = 0; v < c.vectors; ++v) {
    const int64_t first = v * c.lanes, count = std::min(c.lanes, p.out_channels - first);
    int64_t at[most_lanes];
    for (int64_t l = 0; l < count; ++l) at[l] = (first + l) / c.co * w.group_stride + (first + l) % c.co * w.co_stride;
    const auto [least, most] = std::minmax_element(at, at + count);
    std::int32_t lane[most_lanes] = {};
    for (int64_t l = 0; l < count; ++l) lane[l] = static_cast<std::int32_t>(at[l] - *least);
    for (int64_t part = 0; part < c.ci; ++part, packed += taps(p) * c.lanes)
      depthwise_table<T>(p.out_channels)
          .fill(
              {w.origin + *least + part * w.ci_stride, w.tap_stride, taps(p), lane, *most - *least + 1, count, packed});
  }
}

/// Lists the planes of taps that output plane h uses, for output row 0; returns their number.
template <class T>
int64_t list_planes(const Conv3dProblem& p, const Blocking& c, InputRing<T>& ring, int64_t h, int64_t v,
                    const T* weights, DepthwiseTaps<T>* list) {
  DepthwiseTaps<T>* t = list;
  for (int64_t j = 0; j < c.ci; ++j)
    for (int64_t kh = 0; kh < p.kernel_size[0]; ++kh, weights += p.kernel_size[1] * p.kernel_size[2] * c.lanes)
      if (ring.has_plane(h + kh)) *t++ = {ring.inputs(h + kh, v, j), weights, ring.lane(v, j)};
  return t - list;
}

/// The taps along W at which an output row reads a row inside the input.
struct RowTaps {
  int64_t begin, end;
};

template <class T>
RowTaps row_taps(const Conv3dProblem& p, const InputRing<T>& ring, int64_t w) {
  RowTaps r{0, p.kernel_size[1]};
  while (r.begin < r.end && !ring.has_row(w + r.begin)) ++r.begin;
  while (r.begin < r.end && !ring.has_row(w + r.end - 1)) --r.end;
  return r;
}

int64_t first_voxel(const Conv3dProblem& p, const Unit& unit, int64_t h, int64_t w) {
  return ((unit.batch * p.out_size[0] + h) * p.out_size[1] + unit.w_begin + w) * p.out_size[2] + unit.d_begin;
}

/// Computes the vectors [v_begin, v_end) of a unit. `planes` has room for ci * kH entries. Calls plane_done(h) after
/// each plane.
template <class T, class PlaneDone>
void data_pass_unit(const Conv3dProblem& p, const Blocking& c, const Unit& unit, InputRing<T>& ring, int64_t v_begin,
                    int64_t v_end, const T* packed, DepthwiseTaps<T>* planes, T* y, const PlaneDone& plane_done) {
  const auto kernel = depthwise_table<T>(p.out_channels).row;
  ring.begin(unit, v_begin, v_end);
  for (int64_t h = unit.h_begin; h < unit.h_end; ++h) {
    ring.fill(h, false);
    for (int64_t v = v_begin; v < v_end; v += std::max<int64_t>(1, c.together)) {
      const int64_t channel = v * c.lanes;
      const int64_t count = list_planes(p, c, ring, h, v - v_begin, packed + v * c.vector_size, planes);
      for (int64_t w = 0; w < unit.w_count; ++w) {
        const RowTaps rows = row_taps(p, ring, w);
        kernel({planes, count, rows.begin, rows.end, ring.row_size(), w * ring.row_size(), p.kernel_size[2],
                unit.d_count, c.input, c.x_step, y + first_voxel(p, unit, h, w) * p.out_channels + channel,
                p.out_channels, std::min(c.lanes, p.out_channels - channel), c.together > 0, c.vector_size});
      }
    }
    plane_done(h);
  }
}

}  // namespace

template <class T>
bool applies(const Conv3dProblem& p, bool weight) {
  for (int a = 0; a < 3; ++a)
    if (p.stride[a] != 1 || p.lhs_dilation[a] != 1 || p.rhs_dilation[a] != 1) return false;
  const int64_t lanes = depthwise_table<T>(p.out_channels).lanes, ci = p.in_channels / p.groups,
                co = p.out_channels / p.groups;
  const int64_t kd = p.kernel_size[2];
  if ((kd > 3 && kd != 5 && kd != 7) || taps(p) < 3) return false;  // there are no kernels
  // lanes over the reduction are faster than half-empty vectors; for grad_weight, outer products of dy are as fast
  if (p.groups == 1) return !weight && ci <= (co <= 8 ? 12 : 4) && (2 * co > lanes || (ci == 1 && 2 * co == lanes));
  return ci <= 4 || (ci <= lanes && (weight ? 2 * co <= lanes : co <= lanes));
}

template <class T>
bool data_pass(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y, const Epilogue<T>& epilogue) {
  if (!all_finite(w, taps(p) * p.in_channels / p.groups * p.out_channels)) return false;
  Blocking c = blocking_of<T>(p);
  const bool applies = epilogue.begin(p.batch * c.units(), c.v_blocks == 1);
  c.together = !applies && should_stream(p, y)
                   ? depthwise_table<T>(p.out_channels).stream_vectors(c.input, p.kernel_size[2])
                   : 0;
  memory::Scratch<T> packed(c.vectors * c.vector_size);
  pack_vectors(p, c, weights_of(p, w, transpose), packed.data());
  parallel_for(
      p.batch * c.units() * c.v_blocks,
      [&](int64_t task) {
        InputRing<T> ring(p, c, x);
        memory::Scratch<DepthwiseTaps<T>> planes(c.ci * p.kernel_size[0]);
        const int64_t v = task % c.v_blocks * c.v_size;
        const Unit unit = unit_of(p, c, task / c.v_blocks);
        data_pass_unit(
            p, c, unit, ring, v, std::min(v + c.v_size, c.vectors), packed.data(), planes.data(), y, [&](int64_t h) {
              const int64_t rows = unit.d_count == p.out_size[2] ? unit.w_count : 1;  // rows that are contiguous in y
              for (int64_t row = 0; applies && row < unit.w_count; row += rows) {
                const int64_t voxel = first_voxel(p, unit, h, row);
                epilogue.apply(task, voxel, rows * unit.d_count, y + voxel * p.out_channels);
              }
            });
        if (c.together > 0) depthwise_table<T>(p.out_channels).stream_end();
      },
      is_small(p));
  if (!applies) epilogue.pass(outputs(p), p.out_channels, y);
  return true;
}

// ---- grad_weight ---------------------------------------------------------------------------------------------------

namespace {

/// The rows of dy that are copied at once and then used for all taps.
constexpr int64_t dy_rows = 8;

/// Copies one vector of channels of the rows [w, w + count) of dy in output plane h of a unit; `to` is contiguous.
template <class T>
void fill_dy(const Conv3dProblem& p, const Blocking& c, const Unit& unit, int64_t h, int64_t w, int64_t count,
             int64_t vector, const T* dy, T* to) {
  const int64_t channel = vector * c.lanes, n = std::min(c.lanes, p.out_channels - channel);
  for (int64_t r = 0; r < count; ++r, to += unit.d_count * c.lanes) {
    depthwise_table<T>(p.out_channels)
        .fill({dy + first_voxel(p, unit, h, w + r) * p.out_channels + channel, p.out_channels, unit.d_count,
               identity.lane, n, n, to});
  }
}

/// sums[vector][input channel][tap][lane] += the sums of the unit.
template <class T>
void weight_unit(const Conv3dProblem& p, const Blocking& c, const Unit& unit, InputRing<T>& ring, int64_t v_begin,
                 int64_t v_end, const T* dy, T* dy_copy, T* sums) {
  const auto kernel = depthwise_table<T>(p.out_channels).weights;
  const int64_t plane_size = p.kernel_size[1] * p.kernel_size[2] * c.lanes;
  ring.begin(unit, v_begin, v_end);
  for (int64_t h = unit.h_begin; h < unit.h_end; ++h) {
    ring.fill(h, true);
    for (int64_t w = 0; w < unit.w_count; w += dy_rows) {
      const int64_t rows = std::min(dy_rows, unit.w_count - w);
      T* to = sums;
      for (int64_t v = v_begin; v < v_end; ++v) {
        fill_dy(p, c, unit, h, w, rows, v, dy, dy_copy);
        for (int64_t j = 0; j < c.ci; ++j)
          for (int64_t kh = 0; kh < p.kernel_size[0]; ++kh, to += plane_size)
            if (ring.has_plane(h + kh))
              kernel({ring.inputs(h + kh, v - v_begin, j) + w * ring.row_size(), c.input, c.x_step, ring.row_size(),
                      ring.lane(v - v_begin, j), dy_copy, rows, unit.d_count, p.kernel_size[1], p.kernel_size[2], to});
      }
    }
  }
}

/// dw[tap][part][channel] = the sum of partials[s][vector][part][tap][lane] over s, in order.
template <class T>
void add_partials(const Conv3dProblem& p, const Blocking& c, const T* partials, int64_t count, T* dw) {
  const int64_t size = c.vectors * c.vector_size;
  for (int64_t tap = 0; tap < taps(p); ++tap)
    for (int64_t part = 0; part < c.ci; ++part)
      for (int64_t channel = 0; channel < p.out_channels; ++channel) {
        const int64_t vector = channel / c.lanes;
        const T* from = partials + ((vector * c.ci + part) * taps(p) + tap) * c.lanes + channel % c.lanes;
        T sum = *from;
        for (int64_t s = 1; s < count; ++s) sum += from[s * size];
        *dw++ = sum;
      }
}

}  // namespace

template <class T>
bool grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  const Blocking c = blocking_of<T>(p);
  const int64_t units = p.batch * c.units();
  const int64_t partials = std::clamp<int64_t>(ceil_div(32, c.v_blocks), 1, std::max<int64_t>(1, units));
  memory::Scratch<T> copies(partials * c.vectors * c.vector_size);
  parallel_for(
      partials * c.v_blocks,
      [&](int64_t task) {
        const int64_t partial = task / c.v_blocks, v_begin = task % c.v_blocks * c.v_size,
                      v_end = std::min(v_begin + c.v_size, c.vectors);
        T* const to = copies.data() + (partial * c.vectors + v_begin) * c.vector_size;
        std::fill_n(to, (v_end - v_begin) * c.vector_size, T(0));
        InputRing<T> ring(p, c, x);
        memory::Scratch<T> dy_copy(std::min(dy_rows, c.w_size) * c.d_size * c.lanes);
        for (int64_t u = units * partial / partials; u < units * (partial + 1) / partials; ++u)
          weight_unit(p, c, unit_of(p, c, u), ring, v_begin, v_end, dy, dy_copy.data(), to);
      },
      is_small(p));
  add_partials(p, c, copies.data(), partials, dw);
  return all_finite(dw, c.ci * taps(p) * p.out_channels);
}

template bool applies<float>(const Conv3dProblem&, bool);
template bool applies<double>(const Conv3dProblem&, bool);
template bool data_pass<float>(const Conv3dProblem&, bool, const float*, const float*, float*, const Epilogue<float>&);
template bool data_pass<double>(const Conv3dProblem&, bool, const double*, const double*, double*,
                                const Epilogue<double>&);
template bool grad_weight<float>(const Conv3dProblem&, const float*, const float*, float*);
template bool grad_weight<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels::depthwise
