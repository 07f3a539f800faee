// The cost model. Products are counted as executed: both algorithms compute whole vectors of output channels. Winograd
// saves products and pays for its transforms, which run at the speed of caches. The costs below are in cycles per
// vector, fitted on Zen 4 from 8 to 512 channels and 3^3 to 64^3. (They are ratios of cache to arithmetic speed, which
// differ little between x86 CPUs.) Square tiles are F(2, 3), long ones F(4, 3) along D, wide ones complex F(4, 3).
#include "voxgrad/framework/kernels/cost_model.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"

#include <algorithm>
#include <limits>

#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/direct/direct.hpp"
#include "voxgrad/framework/kernels/winograd/loops.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace vg::kernels {

namespace {

constexpr double point_in = 8, point_out = 4;  // per vector of a tile's input (output) channels and per point
constexpr double wide_in = 8, wide_out = 5, wide_weight_in = 9, wide_weight_out = 6;  // the same for wide tiles
constexpr double plane_point = 7;             // added to both if tiles extend along H only: rows are read twice
constexpr double non_temporal_vector = 20;    // per vector of a volume in memory, if the direct kernels would stream
constexpr double weight_point = 6;            // per vector of weights and per point: transformed, written, read again
constexpr double uncached_weight_point = 28;  // the same with several sub-kernels: the weights exceed L2
constexpr double turned = 1.5;                // factor if the weights are transposed as well
constexpr double half_vector = 0.6;           // cost of at most half a vector of channels, computed in half vectors
constexpr double direct_groups = 1.25;        // cost of direct products of groups that share a vector; dense: 1
constexpr double short_products = 1.12;       // cost of Winograd's short products; the direct kernels': 1
constexpr double wide_products = 1.05;        // the same for wide tiles: a call computes several points
constexpr double strided_products = 1.1;      // the same for stride 2
constexpr double strided_point = 6, dilated_out = 8;  // per vector and point; per vector of outputs, input dilation 2
constexpr double call = 3'000;                        // allocations per call
constexpr double segment = 300;  // lists and partly filled tiles of the direct kernels, per edge region and inside
constexpr double packing = 3;    // per vector of weights that are packed for the direct kernels
constexpr double edge = 0.66;    // outputs per dimension that are lost to partly filled tiles at its edges
constexpr std::int64_t fewest_strided_tiles = 64, fewest_summed_strided_tiles = 256;  // the latter for grad_weight
constexpr std::int64_t fewest_wide_tiles = 16, fewest_summed_wide_tiles = 128;        // the latter for grad_weight
constexpr std::int64_t fewest_channels = 8;  // with fewer, the direct kernels for few channels are faster

// Long tiles have 1.6 times the error of square ones. The direct kernels have as much in sums of these lengths.
constexpr double long_chain = 350;                        // products per output: some 16 channels with 3x3x3 taps
constexpr std::int64_t long_sum = std::int64_t{1} << 15;  // outputs that grad_weight sums over

/// The vectors that a voxel's channels fill.
double vectors(std::int64_t channels, std::int64_t lanes) {
  return 2 * channels <= lanes ? half_vector : static_cast<double>(ceil_div(channels, lanes));
}

/// The same for a pass: grad_weight has no half vectors.
double vectors(std::int64_t channels, std::int64_t lanes, Pass pass) {
  return pass == Pass::grad_weight ? static_cast<double>(ceil_div(channels, lanes)) : vectors(channels, lanes);
}

/// Vectors in both volumes if the direct kernels would use non-temporal stores, else 0.
double non_temporal_vectors(const Conv3dProblem& p, double in_vectors, double out_vectors) {
  const std::int64_t inputs = p.batch * in_volume(p), all = inputs + p.batch * out_volume(p);
  if (all * std::int64_t{sizeof(float)} <= cache::non_temporal_threshold || !is_store_bound(p)) return 0;
  return static_cast<double>(inputs / p.in_channels) * in_vectors + static_cast<double>(outputs(p)) * out_vectors;
}

double winograd_cost(const Conv3dProblem& p, const winograd::Scheme& axes, std::int64_t lanes, Pass pass) {
  const double tile_points = static_cast<double>(winograd::points_of_tiles(p, axes)), points = axes.all();
  const double in_vectors = vectors(p.in_channels, lanes, pass), out_vectors = vectors(p.out_channels, lanes, pass);
  const double products = static_cast<double>(axes.all_subkernels() * p.in_channels) *
                          vectors(p.out_channels / p.groups, lanes);  // of all groups
  // grad_input transposes its weights in squares of lanes x lanes
  const double weights = pass == Pass::grad_input && p.groups == 1
                             ? turned * static_cast<double>(axes.all_subkernels() * ceil_div(p.in_channels, lanes) *
                                                            lanes * ceil_div(p.out_channels, lanes))
                             : products;
  const double plane = p.kernel_size[1] == 1 && p.kernel_size[2] == 1 ? plane_point : 0;
  const bool wide = axes.has_wide_tiles(), sums = pass == Pass::grad_weight;
  const double in = !wide ? point_in + plane : sums ? wide_weight_in : wide_in;
  const double out = !wide ? point_out + plane : sums ? wide_weight_out : wide_out;
  return tile_points * ((wide ? wide_products : short_products) * products +
                        in * static_cast<double>(axes.subkernel_rows()) * in_vectors + out * out_vectors) +
         (axes.all_subkernels() > 1 ? uncached_weight_point : weight_point) * points * weights +
         non_temporal_vector * non_temporal_vectors(p, in_vectors, out_vectors) + call;
}

/// The vectors that a group's output channels fill in the direct kernels. Several groups may share one.
double direct_vectors(const Conv3dProblem& p, std::int64_t lanes) {
  const std::int64_t channels = p.out_channels / p.groups;
  if (p.groups == 1) return vectors(channels, lanes);
  if (2 * channels > lanes) return static_cast<double>(ceil_div(channels, lanes));
  return direct_groups * static_cast<double>(channels) / static_cast<double>(lanes);
}

/// The (output, tap) pairs of a dimension with stride 1 that read the input: the direct kernels skip the padding.
double pairs_of(const Conv3dProblem& p, int a) {
  std::int64_t n = 0;
  for (std::int64_t k = 0; k < p.kernel_size[a]; ++k) {
    const std::int64_t first = p.pad[a] - k * p.rhs_dilation[a];  // output that reads input 0 at tap k
    n += std::max<std::int64_t>(0, std::min(p.out_size[a], first + p.in_size[a]) - std::max<std::int64_t>(0, first));
  }
  return static_cast<double>(n);
}

/// Products per output, without those of the padding.
double products_of_output(const Conv3dProblem& p) {
  double products = static_cast<double>(p.in_channels / p.groups);
  for (int a = 0; a < 3; ++a)
    products *= pairs_of(p, a) / static_cast<double>(std::max<std::int64_t>(1, p.out_size[a]));
  return products;
}

bool may_use_panel_loop(const Conv3dProblem& p) {
  return winograd::uses_panel_loop(p, winograd::Scheme(p, winograd::WinogradTile::f2), sizeof(float));
}

/// Whether long tiles are as accurate as the direct kernels and the weights are not most of the work.
bool may_take_long_tiles(const Conv3dProblem& p, Pass pass) {
  const bool accurate = pass == Pass::grad_weight ? outputs(p) >= long_sum : products_of_output(p) >= long_chain;
  return accurate && winograd::Scheme(p, winograd::WinogradTile::f4_depth).has_long_tiles() && !may_use_panel_loop(p);
}

/// Whether there are wide tiles, enough of them for a block or two, and the weights are not most of the work.
bool may_take_wide_tiles(const Conv3dProblem& p, Pass pass) {
  const winograd::Scheme wide(p, winograd::WinogradTile::f4_complex);
  const std::int64_t fewest = pass == Pass::grad_weight ? fewest_summed_wide_tiles : fewest_wide_tiles;
  return wide.has_wide_tiles() && winograd::tiles_of(p, wide) >= fewest && !may_use_panel_loop(p);
}

/// Costs with stride 2 or with an input dilation of 2, whose zeros the direct kernels skip.
Cost strided_cost(const Conv3dProblem& p, std::int64_t lanes, Pass pass) {
  constexpr double never = std::numeric_limits<double>::infinity();
  const bool dilated = p.lhs_dilation[0] == 2;
  const double in_vectors = vectors(p.in_channels, lanes, pass), out_vectors = vectors(p.out_channels, lanes, pass);
  const double products = static_cast<double>(p.in_channels) * vectors(p.out_channels, lanes);
  const double direct = static_cast<double>(outputs(p) * taps(p)) / (dilated ? 8 : 1) * products;
  const double of_tile =
      strided_products * 125 * products + (dilated ? strided_point * 64 * in_vectors + dilated_out * 125 * out_vectors
                                                   : strided_point * (125 * in_vectors + 27 * out_vectors));
  const std::int64_t tiles = winograd::tiles_of(p, winograd::Scheme(p, winograd::WinogradTile::f2));
  if (tiles < (pass == Pass::grad_weight ? fewest_summed_strided_tiles : fewest_strided_tiles))
    return {direct, never, never, never};
  return {direct, static_cast<double>(tiles) * of_tile + weight_point * 64 * products + call, never, never};
}

}  // namespace

Cost cost_of(const Conv3dProblem& p, std::int64_t lanes, Pass pass, std::int64_t element) {
  double a_pair = static_cast<double>(p.in_channels) * direct_vectors(p, lanes);
  if (pass != Pass::grad_weight && p.groups == 1) a_pair *= std::min(1.0, direct::igemm_narrow_share(p, lanes));
  constexpr double never = std::numeric_limits<double>::infinity();
  if (!winograd::applies(p, pass))
    return {static_cast<double>(outputs(p)) * static_cast<double>(taps(p)) * a_pair, never, never, never};
  if (winograd::is_strided(p, pass)) return strided_cost(p, lanes, pass);
  double pairs = static_cast<double>(p.batch), segments = segment;
  for (int a = 0; a < 3; ++a) {
    pairs *= pairs_of(p, a);
    if (p.kernel_size[a] == 1) continue;
    pairs *= 1 + edge / static_cast<double>(std::max<std::int64_t>(1, p.out_size[a]));
    segments *= 3;
  }
  const winograd::Scheme square(p, winograd::WinogradTile::f2), long_d(p, winograd::WinogradTile::f4_depth),
      wide(p, winograd::WinogradTile::f4_complex);
  return {(pairs + packing * static_cast<double>(taps(p))) * a_pair + segments, winograd_cost(p, square, lanes, pass),
          may_take_long_tiles(p, pass) ? winograd_cost(p, long_d, lanes, pass) : never,
          element == sizeof(float) && may_take_wide_tiles(p, pass) ? winograd_cost(p, wide, lanes, pass) : never};
}

Algorithm algorithm_of(const Conv3dProblem& p, std::int64_t lanes, Pass pass, std::int64_t element) {
  Algorithm forced = current_algorithm();
  if (forced == Algorithm::winograd4x4x4 && element != sizeof(float)) forced = Algorithm::winograd;
  if (forced != Algorithm::automatic) return winograd::applies(p, pass) ? forced : Algorithm::direct;
  if (std::min(p.in_channels, p.out_channels) / p.groups < fewest_channels) return Algorithm::direct;
  const Cost cost = cost_of(p, lanes, pass, element);
  return cost.least_winograd() < cost.direct ? cost.best_winograd() : Algorithm::direct;
}

bool use_winograd(const Conv3dProblem& p, std::int64_t lanes, Pass pass) {
  return algorithm_of(p, lanes, pass) != Algorithm::direct;
}

bool may_choose(const Conv3dProblem& p, Pass pass) {
  return current_algorithm() == Algorithm::automatic && winograd::applies(p, pass);
}

}  // namespace vg::kernels
