#include "voxgrad/evaluation/distance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg {

namespace {

using Spacing = std::array<double, 3>;
constexpr double infinity = std::numeric_limits<double>::infinity();
/// Below this number of voxels, waking threads takes longer than it saves.
constexpr std::int64_t fewest_voxels = 32768;

/// The lower envelope of the parabolas (x - x_q)^2 + f[q] at the positions x_q = q * step. It adds one axis to squared
/// distances. Squares of whole numbers stay exact.
class Envelope {
 public:
  Envelope(std::int64_t n, double step)
      : step_(step), lowest_(static_cast<std::size_t>(n)), from_(static_cast<std::size_t>(n)), copy_(from_) {}

  /// Replaces f by its envelope.
  void operator()(double* f) {
    const std::size_t parabolas = build(f);
    if (parabolas == 0) return;  // all values are infinite
    std::copy_n(f, copy_.size(), copy_.data());
    for (std::size_t q = 0, k = 0; q < copy_.size(); ++q) {
      while (k + 1 < parabolas && from_[k + 1] < place(q)) ++k;
      const double way = place(q) - place(lowest_[k]);
      f[q] = way * way + copy_[lowest_[k]];
    }
  }

 private:
  double place(std::size_t q) const { return static_cast<double>(q) * step_; }

  /// Finds the parabolas that are lowest somewhere, in order, and the position from which each one is the lowest.
  std::size_t build(const double* f) {
    std::size_t count = 0;
    for (std::size_t q = 0; q < copy_.size(); ++q) {
      if (f[q] == infinity) continue;
      double from = -infinity;
      while (count > 0) {
        const double left = place(lowest_[count - 1]), right = place(q);
        from = ((f[q] - f[lowest_[count - 1]]) / (right - left) + right + left) / 2;
        if (from > from_[count - 1]) break;
        from = -infinity;
        --count;
      }
      lowest_[count] = q;
      from_[count++] = from;
    }
    return count;
  }

  double step_;
  std::vector<std::size_t> lowest_;
  std::vector<double> from_, copy_;
};

/// Applies the envelope to each line along the middle axis of (outer, n, inner). Lines are processed eight at a time,
/// which is the number that shares cache lines.
void envelopes(double* squares, std::int64_t outer, std::int64_t n, std::int64_t inner, double step) {
  constexpr std::int64_t width = 8;
  const std::int64_t blocks = (inner + width - 1) / width;
  parallel_for(
      outer * blocks,
      [&](std::int64_t task) {
        const std::int64_t first = task % blocks * width, lines = std::min(width, inner - first);
        double* const corner = squares + task / blocks * n * inner + first;
        memory::Scratch<double> scratch(lines * n);
        double* const turned = scratch.data();
        for (std::int64_t q = 0; q < n; ++q)
          for (std::int64_t i = 0; i < lines; ++i) turned[i * n + q] = corner[q * inner + i];
        Envelope envelope(n, step);
        for (std::int64_t i = 0; i < lines; ++i) envelope(turned + i * n);
        for (std::int64_t q = 0; q < n; ++q)
          for (std::int64_t i = 0; i < lines; ++i) corner[q * inner + i] = turned[i * n + q];
      },
      outer * n * inner < fewest_voxels);
}

/// Computes squared distances along the last axis from a mask, in a forward and a backward sweep.
void along_rows(const std::uint8_t* mask, double* squares, std::int64_t rows, std::int64_t n, double step) {
  parallel_ranges(rows, std::max<std::int64_t>(1, 16384 / n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::uint8_t* on = mask + row * n;
      double *to = squares + row * n, steps = infinity;
      for (std::int64_t i = 0; i < n; ++i) to[i] = steps = on[i] ? 0 : steps + 1;
      steps = infinity;
      for (std::int64_t i = n; i-- > 0;) {
        steps = on[i] ? 0 : steps + 1;
        const double way = std::min(to[i], steps) * step;
        to[i] = way * way;
      }
    }
  });
}

/// Computes squared distances to the nearest voxel of the mask.
void squared_distances(const std::uint8_t* mask, const Triple& e, const Spacing& spacing, double* squares) {
  along_rows(mask, squares, e[0] * e[1], e[2], spacing[2]);
  envelopes(squares, e[0], e[1], e[2], spacing[1]);
  envelopes(squares, 1, e[0], e[1] * e[2], spacing[0]);
}

void check_spacing(const char* where, const Spacing& spacing) {
  for (double s : spacing)
    if (!(s > 0) || std::isinf(s))
      throw ValueError(fmt::format("[{}] spacing: got {}; every entry must be finite and greater than 0", where, s));
}

/// A part of a volume: [begin, begin + extent) along each axis.
struct BoundingBox {
  Triple begin{}, extent{};
  std::int64_t voxels() const { return extent[0] * extent[1] * extent[2]; }
};

/// The smallest box that contains the voxels with that label in either volume; empty if there are none.
BoundingBox box_of(const std::int32_t* a, const std::int32_t* b, const Triple& e, std::int32_t label) {
  Triple low = e, high{-1, -1, -1};
  for (std::int64_t i = 0, at = 0; i < e[0]; ++i)
    for (std::int64_t j = 0; j < e[1]; ++j, at += e[2]) {
      std::int64_t first = e[2], last = -1;
      for (std::int64_t k = 0; k < e[2]; ++k) {
        if (a[at + k] != label && b[at + k] != label) continue;
        first = std::min(first, k);
        last = k;
      }
      if (last < 0) continue;
      low = {std::min(low[0], i), std::min(low[1], j), std::min(low[2], first)};
      high = {i, std::max(high[1], j), std::max(high[2], last)};
    }
  if (high[0] < 0) return {};
  return {low, {high[0] - low[0] + 1, high[1] - low[1] + 1, high[2] - low[2] + 1}};
}

using Mask = std::vector<std::uint8_t>;

Mask mask_of(const std::int32_t* labels, const Triple& e, const BoundingBox& box, std::int32_t label) {
  Mask mask(static_cast<std::size_t>(box.voxels()));
  std::uint8_t* to = mask.data();
  for (std::int64_t i = 0; i < box.extent[0]; ++i)
    for (std::int64_t j = 0; j < box.extent[1]; ++j) {
      const std::int32_t* row = labels + ((box.begin[0] + i) * e[1] + box.begin[1] + j) * e[2] + box.begin[2];
      for (std::int64_t k = 0; k < box.extent[2]; ++k) *to++ = row[k] == label;
    }
  return mask;
}

/// Marks the mask's voxels with a neighbour (of six) that is off or outside the box.
Mask surface_of(const Mask& mask, const Triple& e) {
  Mask surface(mask.size());
  const std::int64_t step_i = e[1] * e[2], step_j = e[2];
  parallel_for(
      e[0],
      [&](std::int64_t i) {
        for (std::int64_t j = 0; j < e[1]; ++j)
          for (std::int64_t k = 0; k < e[2]; ++k) {
            const std::int64_t at = i * step_i + j * step_j + k;
            const auto on = [&](std::int64_t p) { return mask[static_cast<std::size_t>(p)]; };
            const bool within = i > 0 && i + 1 < e[0] && j > 0 && j + 1 < e[1] && k > 0 && k + 1 < e[2] &&
                                on(at - step_i) && on(at + step_i) && on(at - step_j) && on(at + step_j) &&
                                on(at - 1) && on(at + 1);
            surface[static_cast<std::size_t>(at)] = on(at) && !within;
          }
      },
      e[0] * e[1] * e[2] < fewest_voxels);
  return surface;
}

/// numpy's percentile with linear interpolation. Reorders the values, of which there must be at least one.
double percentile_of(std::vector<double>& values, double percentile) {
  const double rank = percentile / 100 * static_cast<double>(values.size() - 1), below = std::floor(rank);
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), at, values.end());
  if (at + 1 == values.end()) return *at;
  const double low = *at, high = *std::min_element(at + 1, values.end());
  return low + (high - low) * (rank - below);
}

/// The percentile of the distances from surface `a` to surface `b`; neither may be empty.
double one_way(const Mask& a, const Mask& b, const BoundingBox& box, const HausdorffOptions& options) {
  memory::Scratch<double> squares(box.voxels());
  squared_distances(b.data(), box.extent, options.spacing, squares.data());
  std::vector<double> distances;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i]) distances.push_back(std::sqrt(squares.data()[i]));
  return percentile_of(distances, options.percentile);
}

bool any_on(const Mask& mask) { return std::find(mask.begin(), mask.end(), std::uint8_t{1}) != mask.end(); }

}  // namespace

namespace detail {

void check_hausdorff(const char* where, const HausdorffOptions& options) {
  check_spacing(where, options.spacing);
  if (!(options.percentile >= 0 && options.percentile <= 100))
    throw ValueError(fmt::format("[{}] percentile: got {}; must be in [0, 100]", where, options.percentile));
}

double hausdorff(const std::int32_t* predicted, const std::int32_t* labels, const Triple& extent, std::int32_t label,
                 const HausdorffOptions& options) {
  const BoundingBox box = box_of(predicted, labels, extent, label);
  if (box.voxels() == 0) return std::numeric_limits<double>::quiet_NaN();
  const Mask a = surface_of(mask_of(predicted, extent, box, label), box.extent);
  const Mask b = surface_of(mask_of(labels, extent, box, label), box.extent);
  if (!any_on(a) || !any_on(b)) return infinity;
  const double there = one_way(a, b, box, options);
  return options.directed ? there : std::max(there, one_way(b, a, box, options));
}

}  // namespace detail

Tensor distance_transform(const Tensor& mask, const std::array<double, 3>& spacing) {
  if (!mask.defined() || mask.rank() != 3)
    throw ValueError(fmt::format("[distance_transform] mask: got {}; must be of rank 3, (height, width, depth)",
                                 mask.defined() ? "shape " + mask.shape().str() : "an undefined tensor"));
  check_spacing("distance_transform", spacing);
  Tensor distances(mask.shape(), f64);
  if (mask.numel() == 0) return distances;
  Mask on(static_cast<std::size_t>(mask.numel()));
  dispatch(mask.dtype(), [&](auto type) {
    const auto* from = mask.data<decltype(type)>();
    std::transform(from, from + mask.numel(), on.begin(), [](auto v) { return v != 0; });
  });
  double* to = distances.data<double>();
  squared_distances(on.data(), {mask.dim(0), mask.dim(1), mask.dim(2)}, spacing, to);
  parallel_ranges(mask.numel(), 32768, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = std::sqrt(to[i]);
  });
  return distances;
}

double hausdorff_distance(const Tensor& predicted, const Tensor& labels, std::int32_t label,
                          const HausdorffOptions& options) {
  for (const auto& [name, t] : {std::pair("predicted", &predicted), std::pair("labels", &labels)}) {
    if (!t->defined() || t->rank() != 3)
      throw ValueError(fmt::format("[hausdorff_distance] {}: got {}; must be of rank 3, (height, width, depth)", name,
                                   t->defined() ? "shape " + t->shape().str() : "an undefined tensor"));
    if (t->dtype() != i32)
      throw TypeError(fmt::format("[hausdorff_distance] {}: got {}; must be i32", name, name_of(t->dtype())));
  }
  if (predicted.shape() != labels.shape())
    throw ValueError(fmt::format("[hausdorff_distance] labels: got shape {}; must be {} as predicted",
                                 labels.shape().str(), predicted.shape().str()));
  detail::check_hausdorff("hausdorff_distance", options);
  return detail::hausdorff(predicted.data<std::int32_t>(), labels.data<std::int32_t>(),
                           {labels.dim(0), labels.dim(1), labels.dim(2)}, label, options);
}

}  // namespace vg
