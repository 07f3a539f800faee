#include "voxgrad/data/shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "voxgrad/data/augment.hpp"
#include "voxgrad/data/keys.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg {

namespace {

using Vector = std::array<double, 3>;
using Matrix = std::array<Vector, 3>;

constexpr std::array<std::string_view, shape_kinds> names = {"sphere", "box",     "cylinder",   "cone",
                                                             "torus",  "pyramid", "octahedron", "cross"};

/// Whether a point is inside the solid, which just fits into the unit ball. The proportions are chosen so that no kind
/// becomes another one by size and pose.
bool inside(ShapeKind kind, const Vector& p) {
  const auto [x, y, z] = p;
  const double radius = std::hypot(x, y);
  const Vector a = {std::abs(x), std::abs(y), std::abs(z)};
  switch (kind) {
    case ShapeKind::sphere:
      return x * x + y * y + z * z <= 1;
    case ShapeKind::box:
      return std::max({a[0], a[1], a[2]}) <= std::numbers::inv_sqrt3;
    case ShapeKind::cylinder:
      return radius <= 0.45 && a[2] <= 0.89;
    case ShapeKind::cone:
      return z >= -0.6 && z <= 1 && radius <= 0.8 * (1 - z) / 1.6;
    case ShapeKind::torus:
      return std::hypot(radius - 0.7, z) <= 0.3;
    case ShapeKind::pyramid:
      return z >= -0.4 && z <= 1 && std::max(a[0], a[1]) <= 0.64 * (1 - z) / 1.4;
    case ShapeKind::octahedron:
      return a[0] + a[1] + a[2] <= 1;
    default: {  // a cross of three bars: at least two coordinates are small
      std::array<double, 3> sorted = a;
      std::sort(sorted.begin(), sorted.end());
      return sorted[1] <= 0.22 && sorted[2] <= 0.94;
    }
  }
}

/// A uniformly distributed rotation, from three numbers in [0, 1): K. Shoemake, "Uniform random rotations" (Graphics
/// Gems III, 1992).
Matrix rotation(double u0, double u1, double u2) {
  const double turn = 2 * std::numbers::pi;
  const double x = std::sqrt(1 - u0) * std::sin(turn * u1);
  const double y = std::sqrt(1 - u0) * std::cos(turn * u1);
  const double z = std::sqrt(u0) * std::sin(turn * u2);
  const double w = std::sqrt(u0) * std::cos(turn * u2);
  return {{{1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)},
           {2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)},
           {2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)}}};
}

struct Pose {
  Matrix rotation;
  Vector center;  ///< in voxels
  double radius;  ///< in voxels
};

Pose draw_pose(const random::Key& key, const ShapesOptions& options) {
  const Tensor drawn = random::uniform(key, {7}, 0, 1, f64);
  const double* u = drawn.data<double>();
  const double half = static_cast<double>(options.size) / 2;
  Pose pose{};
  pose.rotation = rotation(u[0], u[1], u[2]);
  pose.radius = half * (options.smallest + (options.largest - options.smallest) * u[3]);
  const double room = half - pose.radius;
  for (std::size_t a = 0; a < 3; ++a) pose.center[a] = half - 0.5 + room * (2 * u[4 + a] - 1);
  return pose;
}

Tensor voxelise(ShapeKind kind, const Pose& pose, std::int64_t n) {
  Tensor out({n, n, n, 1}, f32);
  float* data = out.data<float>();
  parallel_for(n, [&](std::int64_t i) {
    float* to = data + i * n * n;
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t k = 0; k < n; ++k) {
        const Vector d = {static_cast<double>(i) - pose.center[0], static_cast<double>(j) - pose.center[1],
                          static_cast<double>(k) - pose.center[2]};
        Vector local{};
        for (std::size_t r = 0; r < 3; ++r)
          local[r] =
              (pose.rotation[r][0] * d[0] + pose.rotation[r][1] * d[1] + pose.rotation[r][2] * d[2]) / pose.radius;
        *to++ = inside(kind, local) ? 1.0f : 0.0f;
      }
  });
  return out;
}

}  // namespace

std::string_view shape_name(std::int64_t label) {
  if (label < 0 || label >= shape_kinds)
    throw ValueError(fmt::format("[shape_name] label: got {}; it must be in [0, {})", label, shape_kinds));
  return names[static_cast<std::size_t>(label)];
}

ShapesDataset::ShapesDataset(const ShapesOptions& options) : options_(options) {
  if (options.count < 0)
    throw ValueError(fmt::format("[ShapesDataset] count: got {}; it must not be negative", options.count));
  if (options.size < 8 || options.size > 1024)
    throw ValueError(fmt::format("[ShapesDataset] size: got {}; it must be in [8, 1024]", options.size));
  if (!(options.smallest > 0 && options.smallest <= options.largest && options.largest <= 1))
    throw ValueError(
        fmt::format("[ShapesDataset] smallest, largest: got {} and {}; 0 < smallest <= largest <= 1 must hold",
                    options.smallest, options.largest));
  if (!(options.noise >= 0 && options.noise <= 1e30))
    throw ValueError(fmt::format("[ShapesDataset] noise: got {}; it must be finite and not negative", options.noise));
}

Sample ShapesDataset::get(std::int64_t index) const {
  check_index(index);
  const random::Key key = random::fold_in(random::key_of(options_.seed), index);
  const std::int64_t label = index % shape_kinds;
  Tensor x = voxelise(static_cast<ShapeKind>(label), draw_pose(random::fold_in(key, 0), options_), options_.size);
  if (options_.noise > 0) x = augment::noise(random::fold_in(key, 1), x, options_.noise);
  return {x, Tensor::scalar(static_cast<double>(label), i32)};
}

}  // namespace vg
