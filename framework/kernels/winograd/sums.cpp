#include "voxgrad/framework/kernels/winograd/sums.hpp"

#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// The largest sum may be so many times the smallest tap. For ordinary values both have about the same size.
constexpr double largest_excess = 8;
/// The largest value of a voxel may be so many times that of another voxel.
constexpr double even_voxels = 64;

/// Points along an axis that together use all elements, with their coefficients in the taps.
std::vector<PointShare> shares_along(int points) {
  if (points == 1) return {{0, 1}};
  if (points == 4) return {{0, 1}, {1, 0.5}, {3, 1}};
  return {{0, 0.94}, {1, 0.6}, {5, 1}};  // from real_points
}

/// The same for wide tiles: a PointPair (0: plus_minus_1, 1: zero_inf), the number within the pair, its coefficient.
struct WideShare {
  int pair, number;
  double share;
};
constexpr WideShare wide_shares[3] = {{0, 0, 0.25}, {1, 0, 1}, {1, 1, 1}};

/// Whether any output uses a tap along an axis, that is, the tap does not always fall on padding.
bool meets(const Conv3dProblem& p, int axis, int64_t tap) {
  const int64_t before = p.pad[axis] - tap * p.rhs_dilation[axis];
  const int64_t first = before <= 0 ? 0 : ceil_div(before, p.stride[axis]);
  return first < p.out_size[axis] && first * p.stride[axis] - before < p.in_size[axis];
}

}  // namespace

std::vector<PointShare> shares_of(const Points& points) {
  std::vector<PointShare> shares;
  if (points.has_wide_tiles()) {
    for (const WideShare& h : wide_shares)
      for (const WideShare& w : wide_shares)
        for (const WideShare& d : wide_shares)
          shares.push_back({points.before(wide::slices_per_stage * h.pair + w.pair) + 7 * (2 * h.number + w.number) +
                                2 * d.pair + d.number,
                            h.share * w.share * d.share});
    return shares;
  }
  for (const PointShare& h : shares_along(points.along[0]))
    for (const PointShare& w : shares_along(points.along[1]))
      for (const PointShare& d : shares_along(points.along[2]))
        shares.push_back(
            {(h.point * points.along[1] + w.point) * points.along[2] + d.point, h.share * w.share * d.share});
  return shares;
}

std::vector<PointShare> strided_shares() {
  std::vector<PointShare> shares;
  for (int64_t i = 0; i < 64; ++i) shares.push_back({i, 1});
  return shares;
}

template <class T>
bool has_even_voxels(int64_t voxels, int64_t channels, const T* v) {
  const auto largest = current_winograd_table<T>().largest;
  T most = 0, least = std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < voxels; ++i) {
    const T of_voxel = largest(1, channels, v + i * channels, channels);
    if (!std::isfinite(of_voxel)) return false;
    most = std::max(most, of_voxel);
    if (of_voxel != 0) least = std::min(least, of_voxel);
  }
  return most == 0 || most <= T(even_voxels) * least;
}
template bool has_even_voxels<float>(int64_t, int64_t, const float*);
template bool has_even_voxels<double>(int64_t, int64_t, const double*);

template <class T>
SumsCheck<T>::SumsCheck(const Conv3dProblem& p, std::vector<PointShare> points, int64_t tasks)
    : points_(std::move(points)),
      taps_(taps(p)),
      most_sums_(static_cast<std::size_t>(tasks)),
      most_taps_(static_cast<std::size_t>(tasks * taps_)) {
  for (int64_t h = 0; h < p.kernel_size[0]; ++h)
    for (int64_t w = 0; w < p.kernel_size[1]; ++w)
      for (int64_t d = 0; d < p.kernel_size[2]; ++d)
        meets_.push_back(meets(p, 0, h) && meets(p, 1, w) && meets(p, 2, d));
}

template <class T>
void SumsCheck<T>::add_points(int64_t task, int64_t rows, int64_t channels, const T* u, int64_t point_stride,
                              int64_t stride) {
  T& most = most_sums_[static_cast<std::size_t>(task)];
  const auto largest = current_winograd_table<T>().largest;
  for (const PointShare& p : points_) {
    const T of_point = static_cast<T>(p.share) * largest(rows, channels, u + p.point * point_stride, stride);
    if (!(of_point <= most) && std::isfinite(most)) most = of_point;
  }
}

template <class T>
void SumsCheck<T>::add_tap(int64_t task, int64_t tap, int64_t rows, int64_t channels, const T* dw, int64_t stride) {
  T& most = most_taps_[static_cast<std::size_t>(task * taps_ + tap)];
  const T of_rows = current_winograd_table<T>().largest(rows, channels, dw, stride);
  if (!(of_rows <= most)) most = of_rows;
}

template <class T>
bool SumsCheck<T>::are_even() const {
  T sums = 0;
  for (const T most : most_sums_) {
    if (!std::isfinite(most)) return false;
    sums = std::max(sums, most);
  }
  for (int64_t tap = 0; tap < taps_; ++tap) {
    T most = 0;
    for (std::size_t at = static_cast<std::size_t>(tap); at < most_taps_.size();
         at += static_cast<std::size_t>(taps_)) {
      if (!std::isfinite(most_taps_[at])) return false;
      most = std::max(most, most_taps_[at]);
    }
    if (meets_[static_cast<std::size_t>(tap)] && !(sums <= T(largest_excess) * most)) return false;
  }
  return true;
}

template class SumsCheck<float>;
template class SumsCheck<double>;

}  // namespace vg::kernels::winograd
