// Winograd's transforms, compiled once per instruction set (cmake/kernels.cmake). With VOXGRAD_HALF_WIDTH they use
// vectors of AVX2's length with AVX-512's registers, for few channels per group; groups have no grad_weight here.
#include "voxgrad/framework/kernels/simd/target.hpp"
// must follow target.hpp, whose vectors they use
#include "voxgrad/framework/kernels/winograd/transforms/products-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/strided-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/weights-inl.hpp"

namespace vg::kernels {
namespace {

/// In f64, F(4, 3) in all dimensions takes 1.2 to 1.5 times the time of F(4, 3) along D (AVX-512).
template <class T>
constexpr bool has_wide_tiles = sizeof(T) == sizeof(float);

/// Finds extremes in several independent chains of comparisons, because each comparison depends on the previous one of
/// its chain.
template <class T>
T largest(std::int64_t rows, std::int64_t n, const T* v, std::int64_t stride) {
  using S = Simd<T>;
  constexpr int together = 4;
  typename S::V high[together], low[together], lost[together];
  for (int i = 0; i < together; ++i) high[i] = low[i] = lost[i] = S::zero();
  const auto add_rows = [&](auto count) __attribute__((always_inline)) {
    each_vector<T>(n, [&](std::int64_t c, auto io) {
#pragma GCC unroll 4
      for (int i = 0; i < decltype(count)::value; ++i) {
        const typename S::V x = io.load(v + i * stride + c);
        high[i] = S::most(high[i], x);
        low[i] = S::least(low[i], x);
        lost[i] = S::fma(S::zero(), x, lost[i]);  // 0 * x is NaN if x is not finite
      }
    });
  };
  std::int64_t r = 0;
  for (; r + together <= rows; r += together, v += together * stride) add_rows(Int<together>());
  for (; r < rows; ++r, v += stride) add_rows(Int<1>());
  for (int i = 1; i < together; ++i) {
    high[0] = S::most(high[0], high[i]);
    low[0] = S::least(low[0], low[i]);
    lost[0] = lost[0] + lost[i];
  }
  T most[S::lanes], bad[S::lanes], result = 0;
  S::store(most, S::most(high[0], S::zero() - low[0]));
  S::store(bad, lost[0]);
  for (int i = 0; i < S::lanes; ++i) result = most[i] > result ? most[i] : result;
  for (int i = 0; i < S::lanes; ++i) result += bad[i];
  return result;
}

/// Lane c of v[r] becomes lane r of v[c], by exchanging blocks of 1, 2, 4 ... lanes.
template <class T>
inline void transpose(typename Simd<T>::V (&v)[Simd<T>::lanes]) {
  using S = Simd<T>;
  constexpr int lanes = S::lanes;
#pragma GCC unroll 4
  for (int s = 1; s < lanes; s *= 2) {
    alignas(64) std::int32_t low[lanes], high[lanes];
    for (int l = 0; l < lanes; ++l) {
      low[l] = (l & s) == 0 ? l : lanes + l - s;
      high[l] = (l & s) == 0 ? l + s : lanes + l;
    }
    const typename S::Index to_low = S::index(low), to_high = S::index(high);
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i)
      if ((i & s) == 0) {
        const typename S::V a = v[i], b = v[i + s];
        v[i] = S::permute(a, b, to_low);
        v[i + s] = S::permute(a, b, to_high);
      }
  }
}

template <class T>
void transpose_block(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, T* to) {
  using S = Simd<T>;
  typename S::V v[S::lanes];
  for (int c = 0; c < S::lanes; ++c)
    v[c] = c >= columns      ? S::zero()
           : rows < S::lanes ? S::load_first(from + c * stride, rows)
                             : S::load(from + c * stride);
  transpose<T>(v);
  for (int r = 0; r < S::lanes; ++r)
    if (r < rows) S::store(to + r * S::lanes, v[r]);
}

/// The transforms of the data passes, which are all that groups need; `Sums` adds those of grad_weight.
template <bool Sums, class T, int PW, int PD>
constexpr TileTransforms<T> make_tiles() {
  TileTransforms<T> t{winograd_input<T, PW, PD>, nullptr, winograd_output<T, PW, PD>, winograd_weights<T, PW, PD>,
                      nullptr};
  if constexpr (Sums) t.gradient = winograd_gradient<T, PW, PD>;
  if constexpr (Sums) t.taps = winograd_taps<T, PW, PD>;
  return t;
}

template <bool Sums, class T>
constexpr WinogradTable<T> make_table() {
  WinogradTable<T> t{};
  t.lanes = Simd<T>::lanes;
  t.tiles[0][0] = make_tiles<Sums, T, 1, 1>();
  t.tiles[0][1] = make_tiles<Sums, T, 1, 4>();
  t.tiles[0][2] = make_tiles<Sums, T, 1, 6>();
  t.tiles[1][0] = make_tiles<Sums, T, 4, 1>();
  t.tiles[1][1] = make_tiles<Sums, T, 4, 4>();
  t.tiles[1][2] = make_tiles<Sums, T, 4, 6>();
  t.transpose = transpose_block<T>;
  t.largest = largest<T>;
  t.groups = winograd_groups<T>;
  t.stream = stream_lines<T>;
  t.stream_end = stream_end;
  if constexpr (has_wide_tiles<T>) {
    t.wide = {wide_points<T, 6>, nullptr, wide_output<T>, wide_weights<T>, nullptr};
    if constexpr (Sums) t.wide.gradient = wide_points<T, 4>;
    if constexpr (Sums) t.wide.taps = wide_taps<T>;
    if constexpr (folds<T>) t.fold = winograd_fold<T>;
    if constexpr (Sums && folds<T>) t.fold_sums = winograd_fold_sums<T>;
  }
  if constexpr (Sums) {
    t.strided = {strided_points<strided_input, T>, strided_points<strided_gradient, T>,
                 strided_output<strided_outputs, T>, strided_weights<T>, strided_taps<T>};
    t.dilated = {strided_points<dilated_input, T>, nullptr, strided_output<dilated_outputs, T>, strided_weights<T>,
                 nullptr};
  }
  return t;
}

#ifdef VOXGRAD_HALF_WIDTH
constexpr WinogradTables tables = {make_table<false, float>(), {}};  // in f64 whole vectors are as fast
#else
constexpr WinogradTables tables = {make_table<true, float>(), make_table<true, double>()};
#endif

}  // namespace
const WinogradTables* const VOXGRAD_OF_TARGET(winograd) = &tables;
}  // namespace vg::kernels
