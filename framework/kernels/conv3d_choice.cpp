// The cost model. Products count as they are executed: whole vectors of output channels for both algorithms, so tails
// weigh the same. Winograd saves products and pays for its transforms, which run at the speed of the caches: the costs
// below are cycles of a vector, fitted on Zen 4 from 8 to 256 channels, 4^3 to 64^3 (they are ratios of cache to
// arithmetic speed, which differ little between x86 CPUs).
#include "framework/kernels/conv3d_choice.hpp"

#include <algorithm>
#include <limits>

#include "framework/kernels/conv3d_algorithm.hpp"
#include "framework/kernels/driver.hpp"
#include "framework/kernels/winograd.hpp"
#include "framework/kernels/winograd_tiling.hpp"

namespace vg::kernels {

namespace {

constexpr double point_in = 8, point_out = 4;  // a vector of a tile's input (output) channels, a point
constexpr double weight_point = 6;             // a vector of weights, a point: transformed, written, read again
constexpr double far_weight_point = 28;        // the same where there are several parts: weights fill more than L2
constexpr double half_vector = 0.7;            // direct products of at most half a vector of output channels
constexpr double short_products = 1.12;        // a point's products are short: share of the direct kernels' speed lost
constexpr double call = 20'000;                // lists, threads, memory of a call
constexpr double packing = 3;                  // a vector of weights, packed for the direct kernels
constexpr double edge = 0.66;                  // outputs of a dimension lost to its edges' short tiles
constexpr std::int64_t fewest_channels = 8;    // below, the direct kernels for few channels are at home

double winograd_cost(const Conv3dProblem& p, std::int64_t lanes) {
  const double tiles = static_cast<double>(winograd::tiles_of(p));
  double points = 1;
  for (int a = 0; a < 3; ++a) points *= p.kernel_size[a] > 1 ? 4 : 1;
  const winograd::Parts parts(p);
  const double ci = static_cast<double>(p.in_channels),
               in_vectors = static_cast<double>(ceil_div(p.in_channels, lanes)),
               out_vectors = static_cast<double>(ceil_div(p.out_channels, lanes));
  const double products = static_cast<double>(parts.all()) * ci * out_vectors;
  return tiles * points *
             (short_products * products + point_in * static_cast<double>(parts.rows()) * in_vectors +
              point_out * out_vectors) +
         (parts.all() > 1 ? far_weight_point : weight_point) * points * products + call;
}

/// (output, tap) pairs of a dimension with stride 1 that meet the input: the direct kernels leave out the padding.
double pairs_of(const Conv3dProblem& p, int a) {
  std::int64_t n = 0;
  for (std::int64_t k = 0; k < p.kernel_size[a]; ++k) {
    const std::int64_t first = p.pad[a] - k * p.rhs_dilation[a];  // of the outputs that meet tap k
    n += std::max<std::int64_t>(0, std::min(p.out_size[a], first + p.in_size[a]) - std::max<std::int64_t>(0, first));
  }
  return static_cast<double>(n);
}

}  // namespace

Cost cost_of(const Conv3dProblem& p, std::int64_t lanes) {
  const double a_pair = static_cast<double>(p.in_channels / p.groups) *
                        static_cast<double>(p.groups * ceil_div(p.out_channels / p.groups, lanes)) *
                        (2 * p.out_channels <= lanes ? half_vector : 1);
  if (!winograd::applies(p))
    return {static_cast<double>(outputs(p)) * static_cast<double>(taps(p)) * a_pair,
            std::numeric_limits<double>::infinity()};
  double pairs = static_cast<double>(p.batch);
  for (int a = 0; a < 3; ++a) {
    pairs *= pairs_of(p, a);
    if (p.kernel_size[a] > 1) pairs *= 1 + edge / static_cast<double>(std::max<std::int64_t>(1, p.out_size[a]));
  }
  return {(pairs + packing * static_cast<double>(taps(p))) * a_pair, winograd_cost(p, lanes)};
}

bool use_winograd(const Conv3dProblem& p, std::int64_t lanes) {
  switch (current_algorithm()) {
    case Algorithm::direct:
      return false;
    case Algorithm::winograd:
      return winograd::applies(p);
    case Algorithm::automatic:
      break;
  }
  if (p.in_channels < fewest_channels || p.out_channels < fewest_channels) return false;
  const Cost cost = cost_of(p, lanes);
  return cost.winograd < cost.direct;
}

bool may_choose(const Conv3dProblem& p) { return current_algorithm() == Algorithm::automatic && winograd::applies(p); }

}  // namespace vg::kernels
