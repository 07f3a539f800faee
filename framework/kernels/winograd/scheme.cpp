#include "voxgrad/framework/kernels/winograd/scheme.hpp"

#include <algorithm>

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

// the tile along an axis: elements, outputs, step, points of x
constexpr int one_tap[4] = {1, 1, 1, 1}, two_outputs[4] = {4, 2, 2, 4}, four_outputs[4] = {6, 4, 4, 6};
constexpr int stride_2[4] = {5, 2, 4, 5}, input_dilation_2[4] = {3, 4, 2, 4};

}  // namespace

bool is_strided(const Conv3dProblem& p, Pass pass) {
  if (p.groups != 1) return false;
  for (int a = 0; a < 3; ++a)
    if (p.kernel_size[a] != 3 || p.rhs_dilation[a] != 1) return false;
  const auto all = [](const int64_t(&v)[3], int64_t n) { return v[0] == n && v[1] == n && v[2] == n; };
  if (all(p.stride, 2)) return all(p.lhs_dilation, 1);
  return pass != Pass::grad_weight && all(p.stride, 1) && all(p.lhs_dilation, 2);
}

bool applies(const Conv3dProblem& p, Pass pass) {
  if (!has_winograd_tables()) return false;
  if (is_strided(p, pass)) return true;
  bool three = false, five = false;
  for (int a = 0; a < 3; ++a) {
    if (p.stride[a] != 1 || p.lhs_dilation[a] != 1) return false;
    if (p.kernel_size[a] != 1 && p.kernel_size[a] != 3 && p.kernel_size[a] != 5) return false;
    three = three || p.kernel_size[a] == 3;
    five = five || p.kernel_size[a] == 5;
  }
  return p.groups == 1 ? three || five : three && !five && pass != Pass::grad_weight;
}

Scheme::Scheme(const Conv3dProblem& p, WinogradTile tiles)
    : elements(),
      outputs(),
      step(),
      along(),
      subkernels(),
      stage_slices(1),
      strided(is_strided(p, Pass::forward)),
      dilated(strided && p.lhs_dilation[0] == 2) {
  const auto three = [](int64_t k) { return k == 3; };
  const bool all_wide =
      tiles == WinogradTile::f4_complex && !strided && std::all_of(p.kernel_size, p.kernel_size + 3, three);
  if (all_wide) stage_slices = wide::slices_per_stage;
  for (int a = 0; a < 3; ++a) {
    const int64_t taps = p.kernel_size[a];
    const bool four = all_wide || (tiles == WinogradTile::f4_depth && a == 2 && taps == 3);
    const auto& tile = dilated     ? input_dilation_2
                       : strided   ? stride_2
                       : taps == 1 ? one_tap
                       : four      ? four_outputs
                                   : two_outputs;
    elements[a] = tile[0];
    outputs[a] = tile[1];
    step[a] = tile[2];
    along[a] = tile[3];
    subkernels[a] = taps > 3 ? static_cast<int>(taps - 1) / 2 : 1;
  }
}

Conv3dProblem shape_of_subkernel(const Conv3dProblem& p) {
  Conv3dProblem q = p;
  for (auto& k : q.kernel_size) k = std::min<int64_t>(k, 3);
  return q;
}

}  // namespace vg::kernels::winograd
