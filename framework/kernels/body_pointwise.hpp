// Pointwise and per-channel loops on contiguous ranges. Included only by kernels_*.cpp, after one simd_*.hpp;
// everything has internal linkage.
//
// Plain loops are left to the compiler's vectoriser. Reductions over rows of channels-last data sum in double: values
// are widened in registers and up to four vectors of channels are summed at a time. Few channels are folded: several
// rows are read as one wide row, so that lanes do not idle, and the copies of a channel are added at the end.
#pragma once

#include <cstdint>

namespace vg::kernels {
namespace {

template <class T>
void relu(std::int64_t n, const T* x, T* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] < T(0) ? T(0) : x[i];  // NaN stays NaN
}
template <class T>
void relu_grad(std::int64_t n, const T* x, const T* g, T* dx) {
  for (std::int64_t i = 0; i < n; ++i) dx[i] = x[i] > T(0) ? g[i] : T(0);
}
template <class T>
void add(std::int64_t n, const T* a, const T* b, T* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
template <class T>
void accumulate(std::int64_t n, const T* x, T* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

using D = Simd<double>;
constexpr std::int64_t fold_width = 4 * D::lanes;

/// How a row contributes to the two sums of a channel.
struct Moments {  // sum a, sum a b
  static void step(D::V& s, D::V& q, D::V a, D::V b, D::V) {
    s = D::add(s, a);
    q = D::fma(a, b, q);
  }
};
struct Centered {  // -, sum (a - mean)^2
  static void step(D::V&, D::V& q, D::V a, D::V, D::V mean) {
    const D::V d = D::sub(a, mean);
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

/// sums and squares are overwritten.
template <class Op, class T>
void channel_reduce(std::int64_t rows, std::int64_t channels, const T* a, const T* b, const double* mean, double* sums,
                    double* squares) {
  for (std::int64_t c = 0; c < channels; ++c) sums[c] = squares[c] = 0;
  const std::int64_t fold = 2 * channels <= fold_width ? fold_width / channels : 1;
  const std::int64_t wide_rows = fold == 1 ? 0 : rows / fold, width = fold * channels;
  if (wide_rows > 0) {
    double s[fold_width] = {}, q[fold_width] = {}, m[fold_width] = {};
    if (mean != nullptr)
      for (std::int64_t i = 0; i < width; ++i) m[i] = mean[i % channels];
    sum_all_columns<Op>(wide_rows, width, width, a, b, mean == nullptr ? nullptr : m, s, q);
    for (std::int64_t i = 0; i < width; ++i) {
      sums[i % channels] += s[i];
      squares[i % channels] += q[i];
    }
  }
  const std::int64_t done = wide_rows * width;
  sum_all_columns<Op>(rows - wide_rows * fold, channels, channels, a + done, b + done, mean, sums, squares);
}

template <class T>
void channel_sums(std::int64_t rows, std::int64_t channels, const T* x, double* sum, double* sum_squares) {
  if (channels > 0) channel_reduce<Moments>(rows, channels, x, x, nullptr, sum, sum_squares);
}

template <class T>
void channel_centered_squares(std::int64_t rows, std::int64_t channels, const T* x, const double* mean, double* out) {
  double unused[64];
  for (std::int64_t c = 0; c < channels; c += 64) {  // `unused` bounds the channels of a pass; few are one pass
    const std::int64_t n = channels - c < 64 ? channels - c : 64;
    if (n == channels) {
      channel_reduce<Centered>(rows, channels, x, x, mean, unused, out);
    } else {
      for (std::int64_t i = 0; i < n; ++i) unused[i] = out[c + i] = 0;
      sum_all_columns<Centered>(rows, n, channels, x + c, x + c, mean + c, unused, out + c);
    }
  }
}

template <class T>
void channel_dots(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx) {
  if (channels > 0) channel_reduce<Moments>(rows, channels, g, x, nullptr, sum_g, sum_gx);
}

constexpr std::int64_t wide = 128;

/// body(begin, n): elements [begin, begin + n) of the data, which begin at channel 0 and are n <= max(channels, wide)
/// long.
template <class F>
inline void in_wide_rows(std::int64_t rows, std::int64_t channels, const F& body) {
  const std::int64_t step = 2 * channels <= wide ? wide / channels * channels : channels;
  const std::int64_t total = rows * channels;
  for (std::int64_t i = 0; i < total; i += step) body(i, total - i < step ? total - i : step);
}

/// p, or for few channels a copy of it in `copy`, repeated to `wide` elements.
template <class T>
inline const T* repeated(std::int64_t channels, const T* p, T* copy) {
  if (2 * channels > wide) return p;
  for (std::int64_t i = 0; i < wide; ++i) copy[i] = p[i % channels];
  return copy;
}

template <class T>
void scale_shift(std::int64_t rows, std::int64_t channels, const T* x, const T* scale, const T* shift, T* y) {
  if (rows <= 0 || channels <= 0) return;
  T scales[wide], shifts[wide];
  const T* const a = repeated(channels, scale, scales);
  const T* const b = repeated(channels, shift, shifts);
  in_wide_rows(rows, channels, [=](std::int64_t begin, std::int64_t n) {
    const T* const xi = x + begin;
    T* const yi = y + begin;
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
    for (std::int64_t i = 0; i < n; ++i) yi[i] = a[i] * xi[i] + b[i];
  });
}

template <class T>
void norm_backward(std::int64_t rows, std::int64_t channels, const T* g, const T* x, const T* a, const T* b, const T* c,
                   T* dx) {
  if (rows <= 0 || channels <= 0) return;
  T as[wide], bs[wide], cs[wide];
  const T* const ar = repeated(channels, a, as);
  const T* const br = repeated(channels, b, bs);
  const T* const cr = repeated(channels, c, cs);
  in_wide_rows(rows, channels, [=](std::int64_t begin, std::int64_t n) {
    const T *const gi = g + begin, *const xi = x + begin;
    T* const di = dx + begin;
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
    for (std::int64_t i = 0; i < n; ++i) di[i] = ar[i] * gi[i] + (br[i] * xi[i] + cr[i]);
  });
}

}  // namespace
}  // namespace vg::kernels
