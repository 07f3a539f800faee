#include "voxgrad/framework/kernels/winograd/tiling.hpp"

#include <algorithm>

#include "voxgrad/framework/kernels/common/driver.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// A slice combines two planes of a tile: plane [0] + [2] * plane [1]; index -1 means no plane.
constexpr int input_slices[4][3] = {{0, 2, -1}, {1, 2, 1}, {2, 1, -1}, {1, 3, -1}};
constexpr int gradient_slices[4][3] = {{0, -1, 1}, {0, 1, 1}, {0, 1, -1}, {-1, 1, -1}};
constexpr int only_slice[3] = {0, -1, 1};

/// The elements and outputs of a remainder tile, in the order of those of a whole wide tile.
constexpr int remainder_elements[6] = {0, 1, 2, 1, 2, 3};
constexpr int remainder_outputs[4] = {0, -1, -1, 1};

/// The planes of a wide tile that each stage reads, as bit masks.
constexpr unsigned input_planes[3] = {0b011110, 0b110011, 0b011110};
constexpr unsigned gradient_planes[3] = {0b1111, 0b1001, 0b1111};
constexpr unsigned all_planes = 0b111111;

/// Sets the rows of g, which row(plane, r) returns for r < rows: those of a slice, for wide tiles of a stage, and with
/// stride 2 of the tile, which has `rows` planes.
template <class T, class Row>
void take_rows(InputTransformArgs<T>& g, const Scheme& scheme, int stage_slices, int slice, int rows,
               const int (&slices)[4][3], const unsigned (&stages)[3], const Row& row) {
  if (scheme.strided || scheme.has_wide_tiles()) {
    const bool one_pair = !scheme.strided && stage_slices == wide::slices_per_stage;
    const unsigned planes = one_pair ? stages[slice / wide::slices_per_stage] : all_planes;
    for (int plane = 0; plane < (scheme.strided ? rows : 6); ++plane)
      for (int r = 0; r < rows; ++r)
        if ((planes >> plane & 1U) != 0) g.rows[plane][r] = row(plane, r);
    return;
  }
  const auto& [a, b, sign] = scheme.slices() == 4 ? slices[slice] : only_slice;
  g.sign = static_cast<T>(sign);
  for (int r = 0; r < rows; ++r) {
    g.rows[0][r] = row(a, r);
    g.rows[1][r] = row(b, r);
  }
}

int64_t dilation_of(const Conv3dProblem& p, const Scheme& scheme, int axis) {
  return scheme.outputs[axis] > 1 ? p.rhs_dilation[axis] : 1;
}
/// The phases along an axis that have outputs.
int64_t phases_of(const Conv3dProblem& p, const Scheme& scheme, int axis) {
  return std::clamp<int64_t>(p.out_size[axis], 1, dilation_of(p, scheme, axis));
}
/// The number of outputs before output 0 at which the first tile begins. With input dilation 2 a tile must begin with
/// an output whose first tap falls on an input, not on an inserted zero.
int64_t shift_of(const Conv3dProblem& p, const Scheme& scheme, int axis) {
  return scheme.dilated ? p.pad[axis] & 1 : 0;
}
/// The tiles of the longest phase along an axis.
int64_t tiles_along(const Conv3dProblem& p, const Scheme& scheme, int axis) {
  const int64_t out = p.out_size[axis] + shift_of(p, scheme, axis);
  return ceil_div(ceil_div(out, dilation_of(p, scheme, axis)), scheme.outputs[axis]);
}

/// Whether the last tile along an axis is a remainder tile.
bool ends_in_remainder(const Conv3dProblem& p, const Scheme& scheme, int axis) {
  const int64_t left = p.out_size[axis] % 4;
  return scheme.has_wide_tiles() && axis < 2 && phases_of(p, scheme, axis) == 1 && (left == 1 || left == 2);
}

/// Number of elements first, first + dilation ... below `size`; requires first < size + dilation.
int64_t count_of(int64_t size, int64_t first, int64_t dilation) { return ceil_div(size - first, dilation); }

}  // namespace

int64_t tiles_of(const Conv3dProblem& p, const Scheme& scheme) {
  int64_t tiles = p.batch;
  for (int a = 0; a < 3; ++a) tiles *= phases_of(p, scheme, a) * tiles_along(p, scheme, a);
  return tiles;
}

int64_t points_of_tiles(const Conv3dProblem& p, const Scheme& scheme) {
  const int64_t tiles = tiles_of(p, scheme);
  if (!scheme.has_wide_tiles() || tiles == 0) return tiles * scheme.all();
  int64_t all[2], whole[2];
  for (int a = 0; a < 2; ++a) {
    all[a] = tiles_along(p, scheme, a);
    whole[a] = all[a] - (ends_in_remainder(p, scheme, a) ? 1 : 0);
  }
  const int64_t columns = tiles / (all[0] * all[1]);
  int64_t n = 0;
  for (int slice = 0; slice < scheme.slices(); ++slice)
    n += scheme.points(slice, 1) * columns * (wide::is_complex_along_h(slice) ? whole : all)[0] *
         (wide::is_complex_along_w(slice) ? whole : all)[1];
  return n;
}

Tiling::Tiling(const Conv3dProblem& p, const Scheme& scheme, int64_t tiles) : p_(p), scheme_(scheme) {
  for (int a = 0; a < 3; ++a) {
    tiles_[a] = tiles_along(p, scheme, a);
    dilation_[a] = dilation_of(p, scheme, a);
    phases_[a] = phases_of(p, scheme, a);
    shift_[a] = shift_of(p, scheme, a);
  }
  for (int a = 0; a < 2; ++a) ends_in_remainder_[a] = ends_in_remainder(p, scheme, a);
  const bool shares_rows = scheme.outputs[2] > 1 && !scheme.strided;  // then a block has at least two runs
  const int64_t longest = std::max<int64_t>(1, shares_rows ? tiles / 2 : tiles);
  depth_parts_ = std::max<int64_t>(1, ceil_div(tiles_[2], longest));
  depth_ = ceil_div(tiles_[2], depth_parts_);
  runs_ = std::max<int64_t>(1, tiles / std::max<int64_t>(1, depth_));
  if (depth_ == 0) depth_parts_ = 0;
  for (const bool remainder_h : {false, true})
    for (const bool remainder_w : {false, true}) {
      const EdgeRegion region = region_of(remainder_h, remainder_w);
      if (region.blocks == 0) continue;
      regions_[region_count_++] = region;
      blocks_ += region.blocks;
    }
  if (region_count_ == 0) regions_[region_count_++] = region_of(false, false);  // no tiles at all
}

Tiling::EdgeRegion Tiling::region_of(bool remainder_h, bool remainder_w) const {
  EdgeRegion region{{remainder_h, remainder_w}, {}, {}, 0, 0, 0};
  for (int a = 0; a < 2; ++a) {
    const int64_t whole = tiles_[a] - (ends_in_remainder_[a] ? 1 : 0);
    region.first[a] = region.is_remainder[a] ? whole : 0;
    region.tiles[a] = region.is_remainder[a] ? tiles_[a] - whole : whole;
  }
  const int64_t width = std::max<int64_t>(1, region.tiles[1]);
  region.strip = scheme_.strided ? width : std::clamp<int64_t>(runs_, 1, width);
  region.runs = p_.batch * phases_[0] * phases_[1] * phases_[2] * region.tiles[0] * region.tiles[1];
  region.blocks = ceil_div(region.runs, runs_) * depth_parts_;
  return region;
}

Tiling::Block Tiling::block(int64_t index) const {
  int region = 0;
  for (; region + 1 < region_count_ && index >= regions_[region].blocks; ++region) index -= regions_[region].blocks;
  const int64_t runs = regions_[region].runs, of_part = std::max<int64_t>(1, ceil_div(runs, runs_));
  // with stride 2 the parts of the same runs follow each other, otherwise the runs of the same part
  const int64_t part = scheme_.strided ? index % depth_parts_ : index / of_part;
  const int64_t first = (scheme_.strided ? index / depth_parts_ : index % of_part) * runs_;
  const int64_t begin = tiles_[2] * part / depth_parts_, end = tiles_[2] * (part + 1) / depth_parts_;
  return {first, std::min(first + runs_, runs), begin, end - begin, region};
}

int Tiling::slices_of(const Block& b, int slice, int slices) const {
  const EdgeRegion& region = regions_[b.region];
  if (region.is_remainder[0] && wide::is_complex_along_h(slice)) return 0;
  if (!region.is_remainder[1]) return slices;
  // the slices of a stage that are real along W come first
  return std::min(slices, std::max(0, wide::slices_per_stage - 1 - slice % wide::slices_per_stage));
}

Tiling::TileOrigin Tiling::origin_of(const Block& b, int64_t run) const {
  if (b.origins != nullptr) return b.origins[run - b.run_begin];
  // runs are ordered by sample, phase along H and W, strip along W, tile along H, phase along D, tile in the strip
  const EdgeRegion& region = regions_[b.region];
  const int64_t rows = region.tiles[0] * phases_[2], of_plane = rows * region.tiles[1];
  const int64_t plane = run / of_plane, in_plane = run % of_plane;
  const int64_t w0 = in_plane / (rows * region.strip) * region.strip, in_strip = in_plane - w0 * rows;
  const int64_t width = std::min(region.strip, region.tiles[1] - w0), row = in_strip / width;
  const int64_t h = region.first[0] + row / phases_[2], w = region.first[1] + w0 + in_strip % width;
  return {plane / (phases_[0] * phases_[1]),
          plane / phases_[1] % phases_[0] + h * scheme_.outputs[0] * dilation_[0] - shift_[0],
          plane % phases_[1] + w * scheme_.outputs[1] * dilation_[1] - shift_[1], row % phases_[2]};
}

template <class T, class Take>
InputTransformArgs<T> Tiling::inputs_by(const Block& b, int64_t run, const T* x, int64_t channels,
                                        const Take& take) const {
  const TileOrigin at = origin_of(b, run);
  // the input that an output reads at the first tap, which is an element: see shift_of
  const auto input_of = [&](int axis, int64_t output) {
    const int64_t i = output * p_.stride[axis] - p_.pad[axis];
    return scheme_.dilated ? i / 2 : i;
  };
  // element number `element` (which may be negative) of the inputs first, first + dilation ...
  const int64_t start = input_of(2, at.phase - shift_[2]);
  const int64_t first = (start % dilation_[2] + dilation_[2]) % dilation_[2], element = (start - first) / dilation_[2];
  InputTransformArgs<T> g{};
  g.depth = count_of(p_.in_size[2], first, dilation_[2]);
  g.first = element + b.depth_begin * scheme_.step[2];
  g.tiles = b.depth_tiles;
  g.channels = channels;
  g.stride = dilation_[2] * channels;
  if (g.depth == 0) return g;  // all rows stay null
  const int64_t row_size = p_.in_size[2] * channels, first_h = input_of(0, at.h), first_w = input_of(1, at.w);
  const EdgeRegion& region = regions_[b.region];
  take(g, [&](int plane, int r) -> const T* {
    if (region.is_remainder[0]) plane = remainder_elements[plane];
    if (region.is_remainder[1]) r = remainder_elements[r];
    const int64_t h = first_h + plane * dilation_[0], w = first_w + r * dilation_[1];
    if (h < 0 || h >= p_.in_size[0] || w < 0 || w >= p_.in_size[1]) return nullptr;
    return x + ((at.sample * p_.in_size[0] + h) * p_.in_size[1] + w) * row_size + first * channels;
  });
  return g;
}

template <class T>
InputTransformArgs<T> Tiling::input(const Block& b, int64_t run, int slice, const T* x, int64_t channels, int64_t sub_h,
                                    int64_t sub_w) const {
  InputTransformArgs<T> g = inputs_by(b, run, x, channels, [&](InputTransformArgs<T>& to, const auto& row) {
    take_rows(to, scheme_, stage_slices(b), slice, scheme_.elements[1], input_slices, input_planes,
              [&](int plane, int r) -> const T* {
                return plane < 0 ? nullptr : row(plane + 2 * static_cast<int>(sub_h), r + 2 * static_cast<int>(sub_w));
              });
  });
  g.slice = slice;
  g.tiles += scheme_.halo();
  return g;
}

template <class T>
InputTransformArgs<T> Tiling::all_inputs(const Block& b, int64_t run, const T* x, int64_t channels) const {
  return inputs_by(b, run, x, channels, [&](InputTransformArgs<T>& to, const auto& row) {
    for (int plane = 0; plane < scheme_.outputs[0] + p_.kernel_size[0] - 1; ++plane)
      for (int r = 0; r < scheme_.outputs[1] + p_.kernel_size[1] - 1; ++r) to.rows[plane][r] = row(plane, r);
  });
}

template <class T>
InputTransformArgs<T> Tiling::gradient(const Block& b, int64_t run, int slice, const T* dy) const {
  const TileOrigin at = origin_of(b, run);
  InputTransformArgs<T> g{};
  g.slice = slice;
  g.depth = count_of(p_.out_size[2], at.phase, dilation_[2]);
  g.first = b.depth_begin * scheme_.outputs[2];
  g.tiles = b.depth_tiles;
  g.channels = p_.out_channels;
  g.stride = dilation_[2] * p_.out_channels;
  const int64_t row_size = p_.out_size[2] * p_.out_channels;
  const EdgeRegion& region = regions_[b.region];
  const auto row = [&](int plane, int r) -> const T* {
    if (region.is_remainder[0] && plane < 4) plane = remainder_outputs[plane];
    if (region.is_remainder[1]) r = remainder_outputs[r];
    if (r < 0) return nullptr;
    const int64_t h = at.h + plane * dilation_[0], w = at.w + r * dilation_[1];
    if (plane < 0 || h >= p_.out_size[0] || w >= p_.out_size[1]) return nullptr;
    return dy + at.sample * out_volume(p_) + (h * p_.out_size[1] + w) * row_size + at.phase * p_.out_channels;
  };
  take_rows(g, scheme_, stage_slices(b), slice, scheme_.outputs[1], gradient_slices, gradient_planes, row);
  return g;
}

template <class T>
OutputTransformArgs<T> Tiling::output(const Block& b, int64_t run, int slice, T* y, int64_t channels) const {
  const TileOrigin at = origin_of(b, run);
  const int64_t begin = b.depth_begin * scheme_.outputs[2];
  OutputTransformArgs<T> g{};
  g.tiles = b.depth_tiles;
  g.channels = channels;
  g.stride = dilation_[2] * channels;
  g.depth = count_of(p_.out_size[2], at.phase, dilation_[2]) - (scheme_.strided ? 0 : begin);
  g.first = scheme_.strided ? begin - shift_[2] : 0;
  g.slice = scheme_.slices() == 1 ? -1 : slice;
  g.slices = slices_of(b, slice, stage_slices(b));
  g.last = is_last(b, slice);
  if (g.depth <= 0) return g;  // a shorter phase has no outputs here: all rows stay null
  const int64_t row_size = p_.out_size[2] * channels;
  const int64_t d = scheme_.strided ? 0 : at.phase + begin * dilation_[2];
  const EdgeRegion& region = regions_[b.region];
  for (int i = 0; i < scheme_.outputs[0]; ++i)
    for (int j = 0; j < scheme_.outputs[1]; ++j) {
      const int row = region.is_remainder[0] ? remainder_outputs[i] : i,
                column = region.is_remainder[1] ? remainder_outputs[j] : j;
      if (row < 0 || column < 0) continue;
      const int64_t h = at.h + row * dilation_[0], w = at.w + column * dilation_[1];
      if (h >= 0 && w >= 0 && h < p_.out_size[0] && w < p_.out_size[1])
        g.y[i][j] = y + ((at.sample * p_.out_size[0] + h) * p_.out_size[1] + w) * row_size + d * channels;
    }
  return g;
}

template InputTransformArgs<float> Tiling::input(const Block&, int64_t, int, const float*, int64_t, int64_t,
                                                 int64_t) const;
template InputTransformArgs<double> Tiling::input(const Block&, int64_t, int, const double*, int64_t, int64_t,
                                                  int64_t) const;
template InputTransformArgs<float> Tiling::all_inputs(const Block&, int64_t, const float*, int64_t) const;
template InputTransformArgs<double> Tiling::all_inputs(const Block&, int64_t, const double*, int64_t) const;
template InputTransformArgs<float> Tiling::gradient(const Block&, int64_t, int, const float*) const;
template InputTransformArgs<double> Tiling::gradient(const Block&, int64_t, int, const double*) const;
template OutputTransformArgs<float> Tiling::output(const Block&, int64_t, int, float*, int64_t) const;
template OutputTransformArgs<double> Tiling::output(const Block&, int64_t, int, double*, int64_t) const;

}  // namespace vg::kernels::winograd
