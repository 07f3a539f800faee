// Pointwise and per-channel loops on contiguous ranges. Included only by kernels_*.cpp, after one simd_*.hpp;
// everything has internal linkage.
//
// Plain loops are left to the compiler's vectoriser. Reductions over rows of channels-last data sum in double: values
// are widened in registers and up to four vectors of channels are summed at a time. Few channels are folded: several
// rows are read as one wide row, so that lanes do not idle, and the copies of a channel are added at the end.
#pragma once

#include <cstdint>

#include "framework/kernels/fast_math.hpp"

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

/// How a row contributes to the two sums of a channel.
struct Products {  // sum a, sum a b
  static void step(D::V& s, D::V& q, D::V a, D::V b, D::V) {
    s = D::add(s, a);
    q = D::fma(a, b, q);
  }
};
struct Centered {  // sum (a - centre), sum (a - centre)^2
  static void step(D::V& s, D::V& q, D::V a, D::V, D::V centre) {
    const D::V d = D::sub(a, centre);
    s = D::add(s, d);
    q = D::fma(d, d, q);
  }
};

/// sums[i], squares[i] += column sums of NV vectors of columns, the last one with `last` lanes.
template <class Op, int NV, bool Masked, class T>
void sum_columns(std::int64_t rows, std::int64_t stride, const T* a, const T* b, const double* mean, double* sums,
                 double* squares, std::int64_t last) {
  D::V s[NV], q[NV], m[NV];
  const auto masked = [](int v) { return Masked && v == NV - 1; };
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    s[v] = q[v] = m[v] = D::zero();
    if (mean != nullptr) m[v] = masked(v) ? D::load_first(mean + v * D::lanes, last) : D::load(mean + v * D::lanes);
  }
  for (std::int64_t r = 0; r < rows; ++r, a += stride, b += stride) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const std::int64_t at = v * D::lanes;
      const D::V va = masked(v) ? D::widen_first(a + at, last) : D::widen(a + at);
      const D::V vb = masked(v) ? D::widen_first(b + at, last) : D::widen(b + at);
      Op::step(s[v], q[v], va, vb, m[v]);
    }
  }
  double out[2][NV * D::lanes];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    D::store(out[0] + v * D::lanes, s[v]);
    D::store(out[1] + v * D::lanes, q[v]);
  }
  for (std::int64_t i = 0; i < (NV - 1) * D::lanes + last; ++i) {
    sums[i] += out[0][i];
    squares[i] += out[1][i];
  }
}

template <class Op, class T>
void sum_all_columns(std::int64_t rows, std::int64_t columns, std::int64_t stride, const T* a, const T* b,
                     const double* mean, double* sums, double* squares) {
  for (std::int64_t c = 0; c < columns; c += fold_width) {
    const std::int64_t left = columns - c < fold_width ? columns - c : fold_width;
    const std::int64_t last = (left - 1) % D::lanes + 1;
    const double* const m = mean == nullptr ? nullptr : mean + c;
    with_constant<4>((left + D::lanes - 1) / D::lanes, [&](auto vectors) {
      constexpr int nv = decltype(vectors)::value;
      if (last == D::lanes)
        sum_columns<Op, nv, false>(rows, stride, a + c, b + c, m, sums + c, squares + c, last);
      else
        sum_columns<Op, nv, true>(rows, stride, a + c, b + c, m, sums + c, squares + c, last);
    });
  }
}

/// sums, squares += those of the rows.
template <class Op, class T>
void channel_reduce(std::int64_t rows, std::int64_t channels, const T* a, const T* b, const double* centre,
                    double* sums, double* squares) {
  const std::int64_t fold = 2 * channels <= fold_width ? fold_width / channels : 1;
  const std::int64_t wide_rows = fold == 1 ? 0 : rows / fold, width = fold * channels;
  if (wide_rows > 0) {
    double s[fold_width] = {}, q[fold_width] = {}, m[fold_width] = {};
    if (centre != nullptr)
      for (std::int64_t i = 0; i < width; i += channels)
        for (std::int64_t c = 0; c < channels; ++c) m[i + c] = centre[c];
    sum_all_columns<Op>(wide_rows, width, width, a, b, centre == nullptr ? nullptr : m, s, q);
    for (std::int64_t i = 0; i < width; i += channels)
      for (std::int64_t c = 0; c < channels; ++c) {
        sums[c] += s[i + c];
        squares[c] += q[i + c];
      }
  }
  const std::int64_t done = wide_rows * width;
  sum_all_columns<Op>(rows - wide_rows * fold, channels, channels, a + done, b + done, centre, sums, squares);
}

/// The same from zero.
template <class T>
void channel_dots(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx) {
  for (std::int64_t c = 0; c < channels; ++c) sum_g[c] = sum_gx[c] = 0;
  if (channels > 0) channel_reduce<Products>(rows, channels, g, x, nullptr, sum_g, sum_gx);
}

template <class T>
void channel_sums(std::int64_t rows, std::int64_t channels, const T* x, double* sum, double* sum_squares) {
  channel_dots(rows, channels, x, x, sum, sum_squares);
}

template <class T>
void channel_moments(std::int64_t rows, std::int64_t channels, const T* x, const double* centre, double* sums,
                     double* squares) {
  if (channels > 0) channel_reduce<Centered>(rows, channels, x, x, centre, sums, squares);
}

constexpr std::int64_t wide = 128;

/// Elements of a row that `wide` holds some rows of, if it does.
constexpr std::int64_t wide_step(std::int64_t channels) {
  return 2 * channels <= wide ? wide / channels * channels : channels;
}

/// body(begin, n): elements [begin, begin + n) of the data, which begin at channel 0 and are n <= max(channels, wide)
/// long.
template <class F>
inline void in_wide_rows(std::int64_t rows, std::int64_t channels, const F& body) {
  const std::int64_t step = wide_step(channels), total = rows * channels;
  for (std::int64_t i = 0; i < total; i += step) body(i, total - i < step ? total - i : step);
}

/// p, or for few channels a copy of it in `copy`, repeated to `wide` elements.
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

/// What an activation makes of v, and of a gradient g at v or, as both have a sign, at its result. NaN stays NaN.
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

/// A map's numbers, repeated for few channels.
template <class T>
class WideMap {
 public:
  explicit WideMap(const ChannelMap<T>& m)
      : centre(m.centre == nullptr ? nullptr : repeated(m.channels, m.centre, copies_[0])),
        factor(m.factor == nullptr ? nullptr : repeated(m.channels, m.factor, copies_[1])),
        shift(repeated(m.channels, m.shift, copies_[2])) {}
  WideMap(const WideMap&) = delete;

 private:
  T copies_[3][wide];

 public:
  const T *centre, *factor, *shift;
};

/// Where a wide row of results is written: in its place, or in L1, from where it goes past the caches. Memory is then
/// not read before it is written.
template <class T>
class RowOutput {
 public:
  RowOutput(const ChannelMap<T>& m, T* y)
      : y_(y),
        far_(can_stream && m.far && m.channels <= wide && reinterpret_cast<std::uintptr_t>(y) % line_bytes == 0 &&
             wide_step(m.channels) * sizeof(T) % line_bytes == 0) {}
  T* at(std::int64_t begin) { return far_ ? row_ : y_ + begin; }
  /// n elements are there.
  void done(std::int64_t begin, std::int64_t n) {
    using S = Simd<T>;
    constexpr std::int64_t line = line_bytes / sizeof(T);
    if (!far_) return;
    const std::int64_t whole = n / line * line;
    for (std::int64_t i = 0; i < whole; i += S::lanes) S::stream(y_ + begin + i, S::load(row_ + i));
    for (std::int64_t i = whole; i < n; ++i) y_[begin + i] = row_[i];
  }
  /// After the last one. (Not a destructor: that would take exception tables, which are weak symbols.)
  void end() const {
    if (far_) stream_end();
  }

 private:
  static constexpr std::int64_t line_bytes = 64;
  alignas(64) T row_[wide];
  T* y_;
  bool far_;
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

template <class T>
void map_channels_grad(const ChannelMap<T>& m, const T* x, const T* g, T* to) {
  if (m.rows <= 0 || m.channels <= 0) return;
  const WideMap<T> w(m);
  const T *const c = w.centre, *const f = w.factor, *const s = w.shift;
  const T slope = static_cast<T>(m.activation.slope);
  with_kind(m.activation, [&](auto kind) {
    using A = decltype(kind);
    in_wide_rows(m.rows, m.channels, [&](std::int64_t begin, std::int64_t n) {
      const T *const xi = x + begin, *const gi = g + begin;
      T* const ti = to + begin;
      VOXGRAD_INDEPENDENT
      for (std::int64_t i = 0; i < n; ++i) ti[i] = A::grad(gi[i], (xi[i] - c[i]) * f[i] + s[i], slope);
    });
  });
}

template <class T>
void activation_grad(std::int64_t n, const Activation& activation, const T* y, const T* g, T* to) {
  const T slope = static_cast<T>(activation.slope);
  with_kind(activation, [&](auto kind) {
    using A = decltype(kind);
    VOXGRAD_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i) to[i] = A::grad(g[i], y[i], slope);
  });
}

template <class T>
void norm_grad(const ChannelMap<T>& m, const T* slope, const T* fall, const T* x, const T* g, T* dx) {
  if (m.rows <= 0 || m.channels <= 0) return;
  const WideMap<T> w(m);
  T slopes[wide], falls[wide];
  const T *const c = w.centre, *const f = w.factor, *const s = w.shift;
  const T* const k = slope == nullptr ? nullptr : repeated(m.channels, slope, slopes);
  const T* const e = fall == nullptr ? nullptr : repeated(m.channels, fall, falls);
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
