// The kernels that an instruction set provides for Winograd convolutions, in addition to its direct kernels. Plain data
// and pointers, as in kernel_table.hpp. An axis has 4 points if the kernel has several taps along it, 6 along D in long
// tiles, and 1 point (no transform) if the kernel has one tap. Wide tiles have 6 points along each axis and transforms
// of their own (complex-inl.hpp).
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "voxgrad/framework/kernels/common/typed_tables.hpp"

namespace vg::kernels {

/// The slices of wide tiles: three pairs of points along H times three along W. The last pair of each axis is complex.
namespace wide {

constexpr int slices = 9;
constexpr int slices_per_stage = 3;  ///< slices of one pair along H

constexpr bool is_complex_along_h(int slice) { return slice >= 6; }
constexpr bool is_complex_along_w(int slice) { return slice % 3 == 2; }

/// Points of a slice that is real along H and W, and of one that is complex along H, W or both.
constexpr int real_points = 4 * 7, complex_points = 6 * 6;
constexpr int points_of(int slice) {
  return is_complex_along_h(slice) || is_complex_along_w(slice) ? complex_points : real_points;
}
/// Number of sums that fused products store for a slice with so many points.
constexpr int sums_of(int points) { return points == real_points ? 16 : 24; }
/// Numbers per slice of a gradient before the transform along D, which the fused products of grad_weight do.
constexpr int numbers = 16;

}  // namespace wide

/// Transforms a run of tiles, adjacent along D, in one slice (one point along H). The transform along H is plane 0 +
/// sign * plane 1; for wide tiles the planes are those of the tile itself. A tile of x has as many elements along W and
/// D as there are points, and consecutive tiles are one tile's outputs apart. A tile of a gradient has as many elements
/// as outputs: 2 for 4 points, 4 for 6 points, 1 for 1 point. The result is transformed along W and D.
template <class T>
struct InputTransformArgs {
  const T* rows[6][6];  ///< [plane][row along W], at depth 0; null for rows outside, which count as zero
  T sign;
  int slice, slices;   ///< for wide tiles: the first slice, and how many of a stage (Points)
  std::int64_t depth;  ///< length of a row: elements outside [0, depth) are zero
  std::int64_t first;  ///< depth of the first tile's first element
  std::int64_t tiles;
  std::int64_t channels;
  std::int64_t stride;  ///< from one depth to the next
  T* to;                ///< tile t of point (w, d), n points along D: at to + (w * n + d) * point_stride + t * ld
  std::int64_t point_stride, ld;
};

/// Bounds on how far apart the outputs of a block's tiles are. The output transforms compute them at no cost, from
/// single channels of a few outputs (checks.hpp).
template <class T>
struct WinogradLevels {
  T most = 0;                                    ///< the largest sum of squares of one channel's outputs in a tile
  T least = std::numeric_limits<T>::infinity();  ///< the smallest mean square of outputs over a vector of channels
  T total = 0;                                   ///< not finite if an output is not finite
};

/// Transforms the products of a run in one slice (for wide tiles, one stage) inversely along W and D, and adds the
/// result to the outputs with the coefficients of the inverse transform along H.
template <class T>
struct OutputTransformArgs {
  const T* from;  ///< layout: as InputTransformArgs::to
  std::int64_t point_stride, ld;
  std::int64_t tiles;
  std::int64_t channels;
  T* y[4][4];          ///< rows (h, w) of the outputs, at the first output of the first tile; null outside
  std::int64_t depth;  ///< number of outputs along D that exist from there on
  std::int64_t first;  ///< stride 2: depth in y[h][w] of the first tile's first output, which may be outside
  std::int64_t stride;
  int slice;    ///< 0, 1, 2, 3 in this order, as the first slice of each output overwrites it; -1: the only slice
                ///< (no transform along H). For wide tiles the first slice of the stage: 0, then 3, 6.
  int slices;   ///< for wide tiles, those of the stage: 3, or 9 if all; 2 without complex points along W
  bool last;    ///< for wide tiles: whether this stage completes the outputs
  bool stream;  ///< stride 2: non-temporal stores if a vector is a cache line; voxels are whole lines
  WinogradLevels<T>* levels;  ///< for long and wide tiles: the complete outputs update these bounds
};

/// Transforms weights of `rows` x `channels`, in one slice, from taps to points or inversely: tap t, row r at w + t *
/// tap_stride + r * row_stride; point p of the slice, row r at u + p * point_stride + r * u_stride.
template <class T, class W>
struct WeightTransformArgs {
  W* w;
  std::int64_t tap_stride, row_stride;
  std::int64_t rows, channels;
  T* u;
  std::int64_t point_stride, u_stride;
  std::int64_t width;  ///< elements of a row of u that are written (zeros from `channels` on), whole vectors
  int slice;           ///< as in OutputTransformArgs; for wide tiles the first slice
  int slices;          ///< for wide tiles: number of slices; their points follow each other
};

/// A row to prefetch during products.
struct PrefetchRange {
  const char *begin, *end;
};

/// The products of all tiles at the points of a slice, with the input channels of each group: m[t][g * out + c] = sum
/// over k of v[t][g * in + k] * u[k][g * out + c]. Point p, tile t is at v + p * v_point + t * v_ld; input channel k of
/// point p at u + p * u_point + k * u_ld. A vector after the last column of u may be read. The transpose for
/// grad_weight has a const m and adds to u, or writes to u if `first`, the sums over all tiles.
///
/// Fused products of wide tiles are summed before they are stored: product j, tile t at m + j * m_point + t * m_ld. A
/// slice that is real along H and W sums the seven points of a real number to four values; other slices sum the six
/// points of each PointPair along D of a complex number to four values (products-inl.hpp). In the transpose, m has the
/// 4 x 4 numbers of a gradient's slice before the transform along D: number (h, w) at depth k is (2 * h + w) * 4 + k.
template <class U, class M>
struct ProductArgs {
  const std::remove_const_t<U>* v;
  U* u;
  M* m;
  std::int64_t v_ld, u_ld, m_ld;
  std::int64_t tiles, groups, in, out;  ///< in, out: channels per group; the transpose has one group
  std::int64_t points;                  ///< fused: 4 * 7 or 6 * 6; otherwise only the first one is multiplied
  std::int64_t v_point, u_point, m_point;
  bool first = false;
  const PrefetchRange *prefetch = nullptr, *prefetch_end = nullptr;  ///< for fused products
  std::int64_t prefetch_lines = 0;                                   ///< cache lines of all these rows
};

/// The transforms of one kind of tile.
template <class T>
struct TileTransforms {
  void (*input)(const InputTransformArgs<T>&);
  void (*gradient)(const InputTransformArgs<T>&);  ///< of dy, for grad_weight
  void (*output)(const OutputTransformArgs<T>&);
  void (*weights)(const WeightTransformArgs<T, const T>&);
  /// The transpose of `weights`, for all slices at once (point p of slice s is number s * points + p): it transforms a
  /// weight gradient from points to taps.
  void (*taps)(const WeightTransformArgs<const T, T>&);
};

template <class T>
struct WinogradTable {
  std::int64_t lanes;
  /// Indexed by the number of points along W and D: [1, 4][1, 4, 6].
  TileTransforms<T> tiles[2][3];
  TileTransforms<T> wide;
  /// Stride 2: from x to 125 points, from dy to 27, from 27 taps to 64, and from 27 points to 8 outputs. Input dilation
  /// 2: from the input to 64 points and from 125 points to 64 outputs (strided-inl.hpp).
  TileTransforms<T> strided, dilated;
  /// The transforms of tiles with so many points along H, W and D.
  const TileTransforms<T>& of_points(const int (&along)[3]) const {
    return along[0] == 6 ? wide : tiles[along[1] == 4][along[2] == 1 ? 0 : along[2] == 4 ? 1 : 2];
  }
  /// to[r * lanes + c] = from[c * stride + r] for r < rows <= lanes, c < columns <= lanes, zero for other c.
  void (*transpose)(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, T* to);
  /// The largest |v[r * stride + c]| for r < rows, c < n; infinity or NaN if one is not finite.
  T (*largest)(std::int64_t rows, std::int64_t n, const T* v, std::int64_t stride);
  void (*groups)(const ProductArgs<const T, T>&);
  /// Fused products and their transpose. Null if there are too few registers; products of wide tiles are then stored
  /// point by point.
  void (*fold)(const ProductArgs<const T, T>&);
  void (*fold_sums)(const ProductArgs<T, const T>&);
  /// Copies n elements, whole cache lines, with non-temporal stores; call stream_end before other code reads them.
  void (*stream)(std::int64_t n, const T* from, T* to);
  void (*stream_end)();
};

struct WinogradTables {
  WinogradTable<float> f32;
  WinogradTable<double> f64;
};

// Null if the file was compiled without its instruction set.
extern const WinogradTables* const portable_winograd;
extern const WinogradTables* const avx2_winograd;
extern const WinogradTables* const avx512_winograd;
extern const WinogradTables* const
    avx512_half_width_winograd;  // half vectors: only what data passes use, the rest is null

/// Whether the current kernel set (kernel_set.hpp) has Winograd kernels. The portable set of a build for x86-64 has
/// none, because every CPU there has a better set (VOXGRAD_PORTABLE_WINOGRAD).
bool has_winograd_tables();
const WinogradTables& current_winograd_tables();
/// The tables with half vectors of the current kernel set; null if it has none.
const WinogradTables* current_half_width_winograd_tables();

template <class T>
const WinogradTable<T>& current_winograd_table() {
  return of_type<T>(current_winograd_tables());
}

template <class T>
const WinogradTable<T>& winograd_table(std::int64_t channels) {
  return of_channels<T>(current_winograd_tables(), current_half_width_winograd_tables(), channels);
}

}  // namespace vg::kernels
