#include "voxgrad/framework/kernels/winograd/tiling.hpp"

#include <algorithm>

#include "voxgrad/framework/kernels/common/driver.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// A slice combines two planes of a tile: plane a + sign * plane b; index -1 means no plane.
struct Slice {
  int a, b, sign;
};
constexpr Slice input_slices[4] = {{0, 2, -1}, {1, 2, 1}, {2, 1, -1}, {1, 3, -1}};
constexpr Slice gradient_slices[4] = {{0, -1, 1}, {0, 1, 1}, {0, 1, -1}, {-1, 1, -1}};
constexpr Slice only_slice = {0, -1, 1};

/// The elements and outputs of a remainder tile, in the order of those of a whole wide tile.
constexpr int remainder_elements[6] = {0, 1, 2, 1, 2, 3};
constexpr int remainder_outputs[4] = {0, -1, -1, 1};

/// The planes of a wide tile that each stage reads, as bit masks.
constexpr unsigned input_passes[3] = {0b011110, 0b110011, 0b011110};
constexpr unsigned gradient_passes[3] = {0b1111, 0b1001, 0b1111};
constexpr unsigned all_planes = 0b111111;

/// Sets the rows of g, which row(plane, r) returns for r < rows: those of a slice or, for wide tiles, of a stage.
template <class T, class Row>
void take_rows(InputTransformArgs<T>& g, const Points& points, int slices_per_stage, int slice, int rows,
               const Slice (&slices)[4], const unsigned (&passes)[3], const Row& row) {
  if (points.has_wide_tiles()) {
    const unsigned planes =
        slices_per_stage == wide::slices_per_stage ? passes[slice / wide::slices_per_stage] : all_planes;
    for (int plane = 0; plane < 6; ++plane)
      for (int r = 0; r < rows; ++r)
        if ((planes >> plane & 1U) != 0) g.rows[plane][r] = row(plane, r);
    return;
  }
  const Slice s = points.slices() == 4 ? slices[slice] : only_slice;
  g.sign = static_cast<T>(s.sign);
  for (int r = 0; r < rows; ++r) {
    g.rows[0][r] = row(s.a, r);
    g.rows[1][r] = row(s.b, r);
  }
}

/// How the outputs along an axis are divided.
struct Cut {
  int64_t step, dilation, phases, tiles;  // tiles of the longest phase
};
Cut cut_of(const Conv3dProblem& p, const Points& points, int axis) {
  const int64_t step = points.step(axis), dilation = step > 1 ? p.rhs_dilation[axis] : 1, out = p.out_size[axis];
  return {step, dilation, std::clamp<int64_t>(out, 1, dilation), ceil_div(ceil_div(out, dilation), step)};
}

/// Whether the last tile along an axis is a remainder tile.
bool ends_in_remainder(const Conv3dProblem& p, const Points& points, int axis) {
  const int64_t left = p.out_size[axis] % 4;
  return points.has_wide_tiles() && axis < 2 && cut_of(p, points, axis).phases == 1 && (left == 1 || left == 2);
}

/// Number of elements first, first + dilation ... below `size`; requires first < size + dilation.
int64_t count_of(int64_t size, int64_t first, int64_t dilation) { return ceil_div(size - first, dilation); }

/// The input that the first output of a phase reads at the first tap: element number `element` (which may be negative)
/// of the inputs first, first + dilation ...
struct Start {
  int64_t first, element;
};
Start start_of(int64_t phase, int64_t pad, int64_t dilation) {
  const int64_t at = phase - pad, first = (at % dilation + dilation) % dilation;
  return {first, (at - first) / dilation};
}

}  // namespace

Points::Points(const Conv3dProblem& p, WinogradTile tiles) : along(), stage_slices() {
  for (int a = 0; a < 3; ++a) along[a] = p.kernel_size[a] > 1 ? 4 : 1;
  if (tiles == WinogradTile::f4_depth && p.kernel_size[2] == 3) along[2] = 6;
  if (tiles == WinogradTile::f4_complex &&
      std::all_of(p.kernel_size, p.kernel_size + 3, [](int64_t k) { return k == 3; }))
    along[0] = along[1] = along[2] = 6;
  stage_slices = has_wide_tiles() ? wide::slices_per_stage : 1;
}

int64_t tiles_of(const Conv3dProblem& p, const Points& points) {
  int64_t tiles = p.batch;
  for (int a = 0; a < 3; ++a) {
    const Cut cut = cut_of(p, points, a);
    tiles *= cut.phases * cut.tiles;
  }
  return tiles;
}

int64_t points_of_tiles(const Conv3dProblem& p, const Points& points) {
  const int64_t tiles = tiles_of(p, points);
  if (!points.has_wide_tiles() || tiles == 0) return tiles * points.all();
  int64_t all[2], whole[2];
  for (int a = 0; a < 2; ++a) {
    all[a] = cut_of(p, points, a).tiles;
    whole[a] = all[a] - (ends_in_remainder(p, points, a) ? 1 : 0);
  }
  const int64_t columns = tiles / (all[0] * all[1]);
  int64_t n = 0;
  for (int slice = 0; slice < points.slices(); ++slice)
    n += points.points(slice, 1) * columns * (wide::is_complex_along_h(slice) ? whole : all)[0] *
         (wide::is_complex_along_w(slice) ? whole : all)[1];
  return n;
}

Tiling::Tiling(const Conv3dProblem& p, const Points& points, int64_t tiles) : p_(p), parts_(p), points_(points) {
  for (int a = 0; a < 3; ++a) {
    const Cut cut = cut_of(p, points, a);
    step_[a] = cut.step;
    tiles_[a] = cut.tiles;
    dilation_[a] = cut.dilation;
    phases_[a] = cut.phases;
  }
  for (int a = 0; a < 2; ++a) ends_in_remainder_[a] = ends_in_remainder(p, points, a);
  const int64_t longest =
      std::max<int64_t>(1, step_[2] > 1 ? tiles / 2 : tiles);  // at least two runs, which share rows
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
  region.strip = std::clamp<int64_t>(runs_, 1, std::max<int64_t>(1, region.tiles[1]));
  region.runs = p_.batch * phases_[0] * phases_[1] * phases_[2] * region.tiles[0] * region.tiles[1];
  region.blocks = ceil_div(region.runs, runs_) * depth_parts_;
  return region;
}

Tiling::Block Tiling::block(int64_t index) const {
  int region = 0;
  for (; region + 1 < region_count_ && index >= regions_[region].blocks; ++region) index -= regions_[region].blocks;
  const int64_t runs = regions_[region].runs, of_part = std::max<int64_t>(1, ceil_div(runs, runs_));
  const int64_t part = index / of_part, first = index % of_part * runs_;
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

Tiling::TileOrigin Tiling::origin_of(int index, int64_t run) const {
  // runs are ordered by sample, phase along H and W, strip along W, tile along H, phase along D, tile in the strip
  const EdgeRegion& region = regions_[index];
  const int64_t rows = region.tiles[0] * phases_[2], of_plane = rows * region.tiles[1];
  const int64_t plane = run / of_plane, in_plane = run % of_plane;
  const int64_t w0 = in_plane / (rows * region.strip) * region.strip, in_strip = in_plane - w0 * rows;
  const int64_t width = std::min(region.strip, region.tiles[1] - w0), row = in_strip / width;
  const int64_t h = region.first[0] + row / phases_[2], w = region.first[1] + w0 + in_strip % width;
  return {plane / (phases_[0] * phases_[1]), plane / phases_[1] % phases_[0] + h * step_[0] * dilation_[0],
          plane % phases_[1] + w * step_[1] * dilation_[1], row % phases_[2]};
}

BlockIterator::BlockIterator(const Tiling& tiling, int64_t begin, int64_t end)
    : tiling_(tiling), at_(begin), end_(end), origins_(2 * tiling.most_runs()) {
  if (begin < end) now_ = placed(begin);
  if (begin + 1 < end) next_ = placed(begin + 1);
}

void BlockIterator::step() {
  ++at_;
  now_ = next_;
  if (at_ + 1 < end_) next_ = placed(at_ + 1);
}

Tiling::Block BlockIterator::placed(int64_t index) {
  Tiling::Block b = tiling_.block(index);
  Tiling::TileOrigin* const origins = origins_.data() + index % 2 * tiling_.most_runs();
  for (int64_t run = b.run_begin; run < b.run_end; ++run) origins[run - b.run_begin] = tiling_.origin_of(b.region, run);
  b.origins = origins;
  return b;
}

template <class T, class Take>
InputTransformArgs<T> Tiling::inputs_by(const Block& b, int64_t run, const T* x, int64_t channels,
                                        const Take& take) const {
  const TileOrigin at = origin_of(b, run);
  InputTransformArgs<T> g{};
  const Start start = start_of(at.phase, p_.pad[2], dilation_[2]);
  g.depth = count_of(p_.in_size[2], start.first, dilation_[2]);
  g.first = start.element + b.depth_begin * step_[2];
  g.tiles = b.depth_tiles;
  g.channels = channels;
  g.stride = dilation_[2] * channels;
  if (g.depth == 0) return g;  // all rows stay null
  const int64_t row_size = p_.in_size[2] * channels;
  const EdgeRegion& region = regions_[b.region];
  const auto row = [&](int plane, int r) -> const T* {
    if (region.is_remainder[0]) plane = remainder_elements[plane];
    if (region.is_remainder[1]) r = remainder_elements[r];
    const int64_t h = at.h - p_.pad[0] + plane * dilation_[0], w = at.w - p_.pad[1] + r * dilation_[1];
    if (h < 0 || h >= p_.in_size[0] || w < 0 || w >= p_.in_size[1]) return nullptr;
    return x + ((at.sample * p_.in_size[0] + h) * p_.in_size[1] + w) * row_size + start.first * channels;
  };
  take(g, row);
  return g;
}

template <class T>
InputTransformArgs<T> Tiling::input(const Block& b, int64_t run, int slice, const T* x, int64_t channels,
                                    int64_t part_h, int64_t part_w) const {
  InputTransformArgs<T> g = inputs_by(b, run, x, channels, [&](InputTransformArgs<T>& to, const auto& row) {
    take_rows(to, points_, slices_per_stage(b), slice, points_.along[1], input_slices, input_passes,
              [&](int plane, int r) -> const T* {
                return plane < 0 ? nullptr
                                 : row(plane + 2 * static_cast<int>(part_h), r + 2 * static_cast<int>(part_w));
              });
  });
  g.slice = slice;
  g.tiles += parts_.halo();
  return g;
}

template <class T>
InputTransformArgs<T> Tiling::all_inputs(const Block& b, int64_t run, const T* x, int64_t channels) const {
  return inputs_by(b, run, x, channels, [&](InputTransformArgs<T>& to, const auto& row) {
    for (int plane = 0; plane < step_[0] + p_.kernel_size[0] - 1; ++plane)
      for (int r = 0; r < step_[1] + p_.kernel_size[1] - 1; ++r) to.rows[plane][r] = row(plane, r);
  });
}

template <class T>
InputTransformArgs<T> Tiling::gradient(const Block& b, int64_t run, int slice, const T* dy) const {
  const TileOrigin at = origin_of(b, run);
  InputTransformArgs<T> g{};
  g.slice = slice;
  g.depth = count_of(p_.out_size[2], at.phase, dilation_[2]);
  g.first = b.depth_begin * step_[2];
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
  take_rows(g, points_, slices_per_stage(b), slice, static_cast<int>(step_[1]), gradient_slices, gradient_passes, row);
  return g;
}

template <class T>
OutputTransformArgs<T> Tiling::output(const Block& b, int64_t run, int slice, T* y, int64_t channels) const {
  const TileOrigin at = origin_of(b, run);
  OutputTransformArgs<T> g{};
  g.tiles = b.depth_tiles;
  g.channels = channels;
  g.stride = dilation_[2] * channels;
  g.depth = count_of(p_.out_size[2], at.phase, dilation_[2]) - b.depth_begin * step_[2];
  g.slice = slices() == 1 ? -1 : slice;
  g.slices = slices_of(b, slice, slices_per_stage(b));
  g.last = is_last(b, slice);
  if (g.depth <= 0) return g;  // a shorter phase has no outputs here: all rows stay null
  const int64_t row_size = p_.out_size[2] * channels;
  const int64_t d = at.phase + b.depth_begin * step_[2] * dilation_[2];
  const EdgeRegion& region = regions_[b.region];
  for (int i = 0; i < step_[0]; ++i)
    for (int j = 0; j < step_[1]; ++j) {
      const int row = region.is_remainder[0] ? remainder_outputs[i] : i,
                column = region.is_remainder[1] ? remainder_outputs[j] : j;
      const int64_t h = at.h + row * dilation_[0], w = at.w + column * dilation_[1];
      if (row >= 0 && column >= 0 && h < p_.out_size[0] && w < p_.out_size[1])
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
