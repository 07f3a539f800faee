// What an instruction set provides for Winograd convolutions, besides its direct kernels. Plain data and pointers, as
// in kernel_table.hpp. Points of an axis: 4 where the kernel has 3 taps, or 6 along D with long tiles, and 1 where it
// has one (left as it is). Wide tiles have 6 along each, and are another algorithm (complex-inl.hpp).
#pragma once

#include <cstdint>
#include <limits>

#include "voxgrad/framework/kernels/common/typed_tables.hpp"

namespace vg::kernels {

/// A run of tiles, neighbours along D, in one slice (one point along H): a slice is plane 0 + sign * plane 1, by the
/// transform along H; those of wide tiles are made of the tile's own planes. From x: tiles of as many elements along W
/// and D as there are points, one tile a tile's outputs further than the last. From a gradient: tiles of as many
/// elements as outputs: 2 of 4 points, 4 of 6, 1 of 1. The result is transformed along W and D.
template <class T>
struct InputTransformArgs {
  const T* rows[6][6];  ///< plane by plane, along W, at depth 0; null where they are outside and count as zero
  T sign;
  int slice, slices;   ///< of wide tiles: the first one, and how many: of one pair along H, or all (Points)
  std::int64_t depth;  ///< of a row: elements outside [0, depth) are zero
  std::int64_t first;  ///< depth of the first tile's first element
  std::int64_t tiles;
  std::int64_t channels;
  std::int64_t stride;  ///< from one depth to the next
  T* to;                ///< tile t of point (w, d), n points along D: at to + (w * n + d) * point_stride + t * ld
  std::int64_t point_stride, ld;
};

/// How far apart the outputs of a block's tiles are, as far as the output transforms see it at no cost: bounds, by
/// single channels of a few outputs (uneven.hpp).
template <class T>
struct WinogradLevels {
  T most = 0;                                    ///< the largest sum over a tile of the squares of a channel's outputs
  T least = std::numeric_limits<T>::infinity();  ///< the smallest mean over a vector of channels of squares of outputs
  T total = 0;                                   ///< not finite where an output is not
};

/// The inverse along W and D of a run's products in one slice (of wide tiles, one pass), added into the outputs by the
/// inverse along H.
template <class T>
struct OutputTransformArgs {
  const T* from;  ///< as InputTransformArgs's `to`
  std::int64_t point_stride, ld;
  std::int64_t tiles;
  std::int64_t channels;
  T* y[4][4];          ///< rows (h, w) of the outputs, at the depth of the first tile's first; null where outside
  std::int64_t depth;  ///< outputs along D that exist, from there on
  std::int64_t first;  ///< of stride 2: the depth of the first tile's first output in such a row; it may not exist
  std::int64_t stride;
  int slice;   ///< 0 to 3; -1: the only one (no transform along H). Slice 0 is the first that is written, then 1, 2, 3.
               ///< Of wide tiles: the first of the pass: 0, then 3, 6.
  int slices;  ///< of wide tiles: of the pass: 3, or all at once; 2: there are no complex points along W
  bool last;   ///< of wide tiles: whether the outputs are all in after this pass
  bool stream;                ///< of stride 2: by non-temporal stores, where a vector is a line; voxels are whole lines
  WinogradLevels<T>* levels;  ///< of long and wide tiles: what the outputs, all slices in them, add to
};

/// Weights of `rows` x `channels`, in one slice, between taps and points: tap t, row r at w + t * tap_stride + r *
/// row_stride; point p of the slice, row r at u + p * point_stride + r * u_stride.
template <class T, class W>
struct WeightTransformArgs {
  W* w;
  std::int64_t tap_stride, row_stride;
  std::int64_t rows, channels;
  T* u;
  std::int64_t point_stride, u_stride;
  std::int64_t width;  ///< lanes of u that are written (zeros beyond `channels`): a multiple of the lanes
  int points[3];       ///< of an axis
  int slice;           ///< as OutputTransformArgs's; of wide tiles the first
  int slices;          ///< of wide tiles: so many, point after point
};

/// The products of a point: m[t][g * out + c] = sum over k of v[t][g * in + k] * u[k][g * out + c].
template <class T>
struct GroupedProductArgs {
  const T* v;  ///< tile t at v + t * v_ld
  std::int64_t v_ld;
  const T* u;  ///< input channel k of the groups at u + k * u_ld; a vector beyond the last column may be read
  std::int64_t u_ld;
  T* m;
  std::int64_t m_ld;
  std::int64_t tiles, groups, in, out;  ///< channels of a group
};

/// What is prefetched during products: so many lines of some rows.
struct PrefetchRange {
  const char *begin, *end;
};
struct PrefetchRanges {
  const PrefetchRange *begin, *end;
  std::int64_t lines;
};

/// Products of all tiles in a slice of wide tiles, and sums of them: of seven points along D, where the slice's numbers
/// are real along H and W, or of six, of which three times as many make two complex numbers: four sums each time
/// (complex_products-inl.hpp). Point p, tile t at v + p * v_point + t * v_ld; sum j, tile t at m + j * m_point +
/// t * m_ld. In groups as GroupedProductArgs'.
template <class T>
struct FusedProductArgs {
  std::int64_t points;  ///< 4 * 7 or 6 * 6
  const T* v;
  std::int64_t v_point, v_ld;
  const T* u;  ///< input channel k of point p at u + p * u_point + k * u_ld, and a vector beyond the last column
  std::int64_t u_point, u_ld;
  T* m;
  std::int64_t m_point, m_ld;
  std::int64_t tiles, groups, in, out;
  PrefetchRanges prefetch;
};

/// The same for grad_weight: u += (or `first`: =) the sums over all tiles of products of an input's points with those
/// of a gradient, which is there as 4 x 4 numbers of a slice: (h, w) at depth k, tile t at g + ((2 * h + w) * 4 + k) *
/// g_point + t * g_ld. Point p, input channel r at u + p * u_point + r * u_ld, whole vectors of `out` channels.
template <class T>
struct FusedWgradArgs {
  std::int64_t points;
  const T* v;
  std::int64_t v_point, v_ld;
  const T* g;
  std::int64_t g_point, g_ld;
  T* u;
  std::int64_t u_point, u_ld;
  std::int64_t tiles, in, out;
  bool first;
  PrefetchRanges prefetch;
};

/// What a kind of tile needs.
template <class T>
struct TileTransforms {
  void (*input)(const InputTransformArgs<T>&);
  void (*gradient)(const InputTransformArgs<T>&);
  void (*output)(const OutputTransformArgs<T>&);
};

/// Convolutions of stride 2, and those of input dilation 2 (strided-inl.hpp).
template <class T>
struct StridedTransforms {
  /// x to 125 points, dy to 27 for grad_weight, the input of dilation 2 to 64.
  void (*input)(const InputTransformArgs<T>&);
  void (*gradient)(const InputTransformArgs<T>&);
  void (*dilated_input)(const InputTransformArgs<T>&);
  /// 27 points to 8 outputs; 125 to 64 of dilation 2.
  void (*output)(const OutputTransformArgs<T>&);
  void (*dilated_output)(const OutputTransformArgs<T>&);
  /// 27 taps to 64 points, and the transpose.
  void (*weights)(const WeightTransformArgs<T, const T>&);
  void (*taps)(const WeightTransformArgs<const T, T>&);
};

template <class T>
struct WinogradTable {
  std::int64_t lanes;
  /// By points along W and D: [1, 4][1, 4, 6].
  TileTransforms<T> tiles[2][3];
  TileTransforms<T> wide;
  StridedTransforms<T> strided;
  /// Those of so many points along H, W and D.
  const TileTransforms<T>& of_points(const int (&along)[3]) const {
    return along[0] == 6 ? wide : tiles[along[1] == 4][along[2] == 1 ? 0 : along[2] == 4 ? 1 : 2];
  }
  void (*weights)(const WeightTransformArgs<T, const T>&);
  /// The transpose of `weights`, for all slices at once (point p of slice s is the (s * points + p)-th): a gradient by
  /// points becomes one by taps.
  void (*taps)(const WeightTransformArgs<const T, T>&);
  /// to[r * lanes + c] = from[c * stride + r] for r < rows <= lanes, c < columns <= lanes, zero for other c.
  void (*transpose)(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, T* to);
  /// The largest |v[r * stride + c]| for r < rows, c < n; infinite or NaN where one is not finite.
  T (*largest)(std::int64_t rows, std::int64_t n, const T* v, std::int64_t stride);
  void (*groups)(const GroupedProductArgs<T>&);
  /// Null where registers are too few: products of wide tiles are then made and kept point by point.
  void (*fold)(const FusedProductArgs<T>&);
  void (*fold_sums)(const FusedWgradArgs<T>&);
  /// n elements by non-temporal stores, whole lines of them; stream_end before anybody reads them.
  void (*stream)(std::int64_t n, const T* from, T* to);
  void (*stream_end)();
};

struct WinogradTables {
  WinogradTable<float> f32;
  WinogradTable<double> f64;
};

// Null where the file was compiled without its instruction set.
extern const WinogradTables* const portable_winograd;
extern const WinogradTables* const avx2_winograd;
extern const WinogradTables* const avx512_winograd;
extern const WinogradTables* const
    avx512_half_width_winograd;  // of half its vectors: what groups take, the rest is null

/// Of the set in force (kernel_set.hpp).
/// Whether the current kernel set has Winograd: the portable one of a build for x86-64 has none, since every CPU there
/// has a better set (VOXGRAD_PORTABLE_WINOGRAD).
bool has_winograd_tables();
const WinogradTables& current_winograd_tables();
/// Those of its half vectors, another set's whole ones; null where there are none.
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
