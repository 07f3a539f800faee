// Pointwise and per-channel loops on contiguous ranges. Included only by kernels.cpp, after one header of simd/ and
// dense-inl.hpp. Everything has internal linkage.
//
// The compiler vectorises the plain loops. Reductions over rows of channels-last data sum in double: values are widened
// in registers, and four vectors of channels are summed at a time. If channels are few, rows are folded: several
// are read as one wide row, so that no lanes are idle, and the sums of a channel's copies are added at the end.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/fast_math.hpp"

namespace vg::kernels {
namespace {

template <class T>
void accumulate(std::int64_t n, const T* x, T* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

template <class T>
void gelu(std::int64_t n, const T* x, T* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * detail::normal_at(x[i]).below;
}
template <class T>
void gelu_grad(std::int64_t n, const T* x, const T* g, T* dx) {
  constexpr T root = T(0.39894228040143267794);  // 1 / sqrt(2 pi)
  for (std::int64_t i = 0; i < n; ++i) {
    const detail::Normal<T> at = detail::normal_at(x[i]);
    dx[i] = g[i] * (at.below + x[i] * root * at.density);
  }
}

using D = Simd<double>;
constexpr std::int64_t fold_width = 4 * D::lanes;

/// How a row contributes to the one or two sums of a channel.
struct Sums {  // sum a
  static constexpr bool two = false;
  static void step(D::V& s, D::V&, D::V a, D::V, D::V) { s = D::add(s, a); }
};
struct Products {  // sum a, sum a b
  static constexpr bool two = true;
  static void step(D::V& s, D::V& q, D::V a, D::V b, D::V) {
    s = D::add(s, a);
    q = D::fma(a, b, q);
  }
};
struct Centered {  // sum (a - centre), sum (a - centre)^2
  static constexpr bool two = true;
  static void step(D::V& s, D::V& q, D::V a, D::V, D::V centre) {
    const D::V d = D::sub(a, centre);
    s = D::add(s, d);
    q = D::fma(d, d, q);
  }
};

/// The rows of a and b without changes.
template <class T>
struct PlainRows {
  const T *a, *b;
  /// The numbers of a from element `at` on, which is in column `column` of a row. The caller reads `columns` of them,
  /// which is W if W is not 0.
  template <int W>
  const T* first(std::int64_t at, std::int64_t /*column*/, std::int64_t /*columns*/) const {
    return a + at;
  }
  /// The numbers of b from element `at` on.
  const T* second(std::int64_t at, const T*) const { return b + at; }
};

/// sums[i], squares[i] += the sums of `columns` columns from `column` on, which are fold_width if they are not Masked;
/// the first row begins at element `at`.
template <class Op, bool Masked, class Rows>
void sum_columns(std::int64_t rows, std::int64_t columns, std::int64_t stride, Rows& source, std::int64_t at,
                 std::int64_t column, const double* mean, double* sums, double* squares) {
  D::V s[4], q[4], m[4];
  std::int64_t lanes[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const std::int64_t left = columns - v * D::lanes;
    lanes[v] = left < 0 ? 0 : left < D::lanes ? left : D::lanes;
    s[v] = q[v] = m[v] = D::zero();
    if (mean != nullptr) m[v] = Masked ? D::load_first(mean + v * D::lanes, lanes[v]) : D::load(mean + v * D::lanes);
  }
  constexpr int unmasked = Masked ? 0 : fold_width;
  for (std::int64_t r = 0; r < rows; ++r, at += stride) {
    const auto* const a = source.template first<unmasked>(at, column, columns);
    const auto* const b = source.second(at, a);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const std::int64_t i = v * D::lanes;
      const D::V va = Masked ? D::widen_first(a + i, lanes[v]) : D::widen(a + i);
      const D::V vb = Masked ? D::widen_first(b + i, lanes[v]) : D::widen(b + i);
      Op::step(s[v], q[v], va, vb, m[v]);
    }
  }
  double out[2][fold_width];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    D::store(out[0] + v * D::lanes, s[v]);
    D::store(out[1] + v * D::lanes, q[v]);
  }
  for (std::int64_t i = 0; i < fold_width && i < columns; ++i) {  // g++ 12 warns without the first
    sums[i] += out[0][i];
    if constexpr (Op::two) squares[i] += out[1][i];
  }
}

template <class Op, class Rows>
void sum_all_columns(std::int64_t rows, std::int64_t columns, std::int64_t stride, Rows& source, std::int64_t at,
                     const double* mean, double* sums, double* squares) {
  std::int64_t c = 0;
  const auto mean_at = [&] { return mean == nullptr ? nullptr : mean + c; };
  for (; c + fold_width <= columns; c += fold_width)
    sum_columns<Op, false>(rows, fold_width, stride, source, at + c, c, mean_at(), sums + c, squares + c);
  if (c < columns)
    sum_columns<Op, true>(rows, columns - c, stride, source, at + c, c, mean_at(), sums + c, squares + c);
}

/// The number of rows that are read as one; more than 1 for few channels.
constexpr std::int64_t fold_of(std::int64_t channels) { return 2 * channels <= fold_width ? fold_width / channels : 1; }

/// sums, squares += the sums of the rows.
template <class Op, class Rows>
void channel_reduce(std::int64_t rows, std::int64_t channels, Rows& source, const double* centre, double* sums,
                    double* squares) {
  const std::int64_t fold = fold_of(channels);
  const std::int64_t wide_rows = fold == 1 ? 0 : rows / fold, width = fold * channels;
  if (wide_rows > 0) {
    double s[fold_width] = {}, q[fold_width] = {}, m[fold_width] = {};
    if (centre != nullptr)
      for (std::int64_t i = 0; i < width; ++i) m[i] = i < channels ? centre[i] : m[i - channels];
    sum_all_columns<Op>(wide_rows, width, width, source, 0, centre == nullptr ? nullptr : m, s, q);
    for (std::int64_t i = 0; i < width; i += channels)
      for (std::int64_t c = 0; c < channels; ++c) {
        sums[c] += s[i + c];
        if constexpr (Op::two) squares[c] += q[i + c];
      }
  }
  sum_all_columns<Op>(rows - wide_rows * fold, channels, channels, source, wide_rows * width, centre, sums, squares);
}

/// Overwrites its sums, as channel_sums does; channel_moments adds to them.
template <class T>
void channel_dots(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx) {
  for (std::int64_t c = 0; c < channels; ++c) sum_g[c] = sum_gx[c] = 0;
  PlainRows<T> source{g, x};
  if (channels > 0) channel_reduce<Products>(rows, channels, source, nullptr, sum_g, sum_gx);
}

template <class T>
void channel_sums(std::int64_t rows, std::int64_t channels, const T* x, double* sum) {
  for (std::int64_t c = 0; c < channels; ++c) sum[c] = 0;
  PlainRows<T> source{x, x};
  if (channels > 0) channel_reduce<Sums>(rows, channels, source, nullptr, sum, sum);
}

template <class T>
void channel_moments(std::int64_t rows, std::int64_t channels, const T* x, const double* centre, double* sums,
                     double* squares) {
  PlainRows<T> source{x, x};
  if (channels > 0) channel_reduce<Centered>(rows, channels, source, centre, sums, squares);
}

constexpr std::int64_t wide = 128;

/// The elements of as many rows as fit `wide`, or of one row if fewer than two fit.
constexpr std::int64_t wide_step(std::int64_t channels) {
  return 2 * channels <= wide ? wide / channels * channels : channels;
}

/// Calls body(begin, n) for pieces [begin, begin + n) of the data, which begin at channel 0; n <= max(channels, wide).
template <class F>
inline void in_wide_rows(std::int64_t rows, std::int64_t channels, const F& body) {
  const std::int64_t step = wide_step(channels), total = rows * channels;
  for (std::int64_t i = 0; i < total; i += step) body(i, total - i < step ? total - i : step);
}

/// p or, for few channels, `copy` with p repeated to `wide` elements.
template <class T>
inline const T* repeated(std::int64_t channels, const T* p, T* copy) {
  if (2 * channels > wide) return p;
  for (std::int64_t i = 0; i < channels; ++i) copy[i] = p[i];
  for (std::int64_t i = channels; i < wide; ++i) copy[i] = copy[i - channels];
  return copy;
}

#if defined(__clang__)
#define VOXGRAD_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define VOXGRAD_INDEPENDENT _Pragma("GCC ivdep")
#endif

/// An activation of v (NaN stays NaN), and the gradient for g at v. grad may receive the activation's result in place
/// of v, because both have the same sign.
struct NoActivation {
  template <class T>
  static T value(T v, T) {
    return v;
  }
  template <class T>
  static T grad(T g, T, T) {
    return g;
  }
};
struct Relu {
  template <class T>
  static T value(T v, T) {
    return v < T(0) ? T(0) : v;
  }
  template <class T>
  static T grad(T g, T v, T) {
    return v > T(0) ? g : T(0);
  }
};
struct LeakyRelu {
  template <class T>
  static T value(T v, T slope) {
    return v > T(0) ? v : v * slope;
  }
  template <class T>
  static T grad(T g, T v, T slope) {
    return v > T(0) ? g : g * slope;
  }
};

template <class F>
inline void with_kind(const Activation& a, const F& f) {
  switch (a.kind) {
    case Activation::Kind::none:
      return f(NoActivation());
    case Activation::Kind::relu:
      return f(Relu());
    case Activation::Kind::leaky_relu:
      return f(LeakyRelu());
  }
}

/// The numbers of a map, repeated for few channels.
template <class T>
class WideMap {
 public:
  explicit WideMap(const ChannelMap<T>& m)
      : centre(m.centre == nullptr ? nullptr : repeated(m.channels, m.centre, copies_[0])),
        factor(m.factor == nullptr ? nullptr : repeated(m.channels, m.factor, copies_[1])),
        shift(m.shift == nullptr ? nullptr : repeated(m.channels, m.shift, copies_[2])) {}
  WideMap(const WideMap&) = delete;

 private:
  T copies_[3][wide];

 public:
  const T *centre, *factor, *shift;
};

constexpr std::int64_t line_bytes = 64;
inline bool is_line(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % line_bytes == 0; }

/// Copies n elements with non-temporal stores, which do not read memory before they write it. `to` begins a cache line.
template <class T>
inline void stream(const T* from, std::int64_t n, T* to) {
  using S = Simd<T>;
  constexpr std::int64_t line = line_bytes / sizeof(T);
  const std::int64_t whole = n / line * line;
  for (std::int64_t i = 0; i < whole; i += S::lanes) S::stream(to + i, S::load(from + i));
  for (std::int64_t i = whole; i < n; ++i) to[i] = from[i];
}

/// The destination of a wide row of results: its place in y, or a buffer in L1 that non-temporal stores then copy to y.
template <class T>
class RowOutput {
 public:
  RowOutput(const ChannelMap<T>& m, T* y)
      : y_(y),
        non_temporal_(can_stream && m.non_temporal && m.channels <= wide && is_line(y) &&
                      wide_step(m.channels) * sizeof(T) % line_bytes == 0) {}
  T* at(std::int64_t begin) { return non_temporal_ ? row_ : y_ + begin; }
  /// Is called when n elements are written.
  void done(std::int64_t begin, std::int64_t n) {
    if (non_temporal_) stream(row_, n, y_ + begin);
  }
  /// Is called after the last row. (A destructor would need exception tables, which are weak symbols.)
  void end() const {
    if (non_temporal_) stream_end();
  }

 private:
  alignas(line_bytes) T row_[wide];
  T* y_;
  bool non_temporal_;
};

template <class T>
void map_channels(const ChannelMap<T>& m, const T* x, const T* residual, T* y) {
  if (m.rows <= 0 || m.channels <= 0) return;
  const WideMap<T> w(m);
  const T *const c = w.centre, *const f = w.factor, *const s = w.shift;
  const T slope = static_cast<T>(m.activation.slope);
  RowOutput<T> out(m, y);
  with_kind(m.activation, [&](auto kind) {
    using A = decltype(kind);
    in_wide_rows(m.rows, m.channels, [&](std::int64_t begin, std::int64_t n) {
      const T* const xi = x + begin;
      T* const yi = out.at(begin);
      if (f == nullptr) {
        VOXGRAD_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) yi[i] = A::value(xi[i] + s[i], slope);
      } else if (residual == nullptr) {
        VOXGRAD_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) yi[i] = A::value((xi[i] - c[i]) * f[i] + s[i], slope);
      } else {
        const T* const ri = residual + begin;
        VOXGRAD_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) yi[i] = A::value(((xi[i] - c[i]) * f[i] + s[i]) + ri[i], slope);
      }
      out.done(begin, n);
    });
  });
  out.end();
}

/// Rows of gradients times the activation's slope, computed where they are summed: meanwhile the numbers of the next
/// rows are loaded from memory. One loop for the gradients and one for the sums, on blocks in L1, take twice the time.
template <class A, class T>
class ActivatedRows {
 public:
  ActivatedRows(const ChannelMap<T>& m, const WideMap<T>& w, const T* x, const T* g, const T* y, T* masked_grad)
      : w_(w),
        x_(x),
        g_(g),
        y_(y),
        masked_grad_(masked_grad),
        slope_(static_cast<T>(m.activation.slope)),
        non_temporal_(can_stream && m.non_temporal && masked_grad != nullptr && is_line(masked_grad) &&
                      fold_of(m.channels) * m.channels * std::int64_t{sizeof(T)} % line_bytes == 0) {}

  template <int W>
  const T* first(std::int64_t at, std::int64_t column, std::int64_t columns) {
    const std::int64_t n = W == 0 ? columns : W;
    T* const to = masked_grad_ == nullptr || non_temporal_ ? row_ : masked_grad_ + at;
    const T* const g = g_ + at;
    if (y_ != nullptr) {
      const T* const y = y_ + at;
      VOXGRAD_INDEPENDENT
      for (std::int64_t i = 0; i < n; ++i) to[i] = A::grad(g[i], y[i], slope_);
    } else {
      const T *const x = x_ + at, *const c = w_.centre + column, *const f = w_.factor + column,
                     *const s = w_.shift + column;
      VOXGRAD_INDEPENDENT
      for (std::int64_t i = 0; i < n; ++i) to[i] = A::grad(g[i], (x[i] - c[i]) * f[i] + s[i], slope_);
    }
    if (non_temporal_)
      stream(row_, n, masked_grad_ + at);  // a row that is not folded is less than a line, or whole lines
    return to;
  }
  const T* second(std::int64_t at, const T* first) const { return x_ == nullptr ? first : x_ + at; }
  void end() const {
    if (non_temporal_) stream_end();
  }

 private:
  const WideMap<T>& w_;
  const T *x_, *g_, *y_;
  T* masked_grad_;
  T slope_;
  bool non_temporal_;
  alignas(line_bytes) T row_[fold_width];
};

template <class T>
void activation_grad_dots(const ChannelMap<T>& m, const T* x, const T* g, const T* y, T* masked_grad, double* sum_g,
                          double* sum_gx) {
  for (std::int64_t c = 0; c < m.channels; ++c) sum_g[c] = 0;
  for (std::int64_t c = 0; sum_gx != nullptr && c < m.channels; ++c) sum_gx[c] = 0;
  if (m.rows <= 0 || m.channels <= 0) return;
  const WideMap<T> w(m);
  with_kind(m.activation, [&](auto kind) {
    ActivatedRows<decltype(kind), T> source(m, w, x, g, y, masked_grad);
    if (sum_gx == nullptr)
      channel_reduce<Sums>(m.rows, m.channels, source, nullptr, sum_g, sum_g);
    else
      channel_reduce<Products>(m.rows, m.channels, source, nullptr, sum_g, sum_gx);
    source.end();
  });
}

template <class T>
void norm_grad(const ChannelMap<T>& m, const T* scale_x, const T* offset, const T* x, const T* g, T* dx) {
  if (m.rows <= 0 || m.channels <= 0) return;
  const WideMap<T> w(m);
  T scales[wide], offsets[wide];
  const T *const c = w.centre, *const f = w.factor, *const s = w.shift;
  const T* const k = scale_x == nullptr ? nullptr : repeated(m.channels, scale_x, scales);
  const T* const e = offset == nullptr ? nullptr : repeated(m.channels, offset, offsets);
  const T leak = static_cast<T>(m.activation.slope);
  RowOutput<T> out(m, dx);
  with_kind(m.activation, [&](auto kind) {
    using A = decltype(kind);
    in_wide_rows(m.rows, m.channels, [&](std::int64_t begin, std::int64_t n) {
      const T *const gi = g + begin, *const xi = x + begin;
      T* const di = out.at(begin);
      if (k == nullptr) {
        VOXGRAD_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) di[i] = f[i] * A::grad(gi[i], (xi[i] - c[i]) * f[i] + s[i], leak);
      } else {
        VOXGRAD_INDEPENDENT
        for (std::int64_t i = 0; i < n; ++i) {
          const T centred = xi[i] - c[i];
          di[i] = f[i] * A::grad(gi[i], centred * f[i] + s[i], leak) - (centred * k[i] + e[i]);
        }
      }
      out.done(begin, n);
    });
  });
  out.end();
}

#undef VOXGRAD_INDEPENDENT

}  // namespace
}  // namespace vg::kernels
