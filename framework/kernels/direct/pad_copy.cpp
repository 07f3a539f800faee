#include "voxgrad/framework/kernels/direct/pad_copy.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"

#include <algorithm>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"

namespace vg::kernels::padded {

using std::int64_t;

namespace {

constexpr int64_t few_vectors = 2;  // of weights per tap: up to these, the copy pays in volumes of any size
constexpr int64_t more_vectors = 8, small_extent = 8;

int64_t size_of(const Conv3dProblem& p) {
  const Conv3dProblem q = problem_of(p);
  return q.batch * in_volume(q);
}

}  // namespace

bool applies(const Conv3dProblem& p, int64_t lanes, int64_t element) {
  int64_t largest = 0, padding = 0;
  for (int a = 0; a < 3; ++a) {
    if (p.stride[a] != 1 || p.lhs_dilation[a] != 1 || p.rhs_dilation[a] != 1) return false;
    if (p.kernel_size[a] > 3 || p.pad[a] < 0 || p.pad[a] >= p.kernel_size[a]) return false;
    if (p.in_size[a] + p.pad[a] > p.out_size[a] + p.kernel_size[a] - 1) return false;  // cropped
    largest = std::max(largest, p.out_size[a]);
    padding += p.out_size[a] + p.kernel_size[a] - 1 - p.in_size[a];
  }
  const int64_t vectors = p.in_channels * ceil_div(p.out_channels, lanes);
  if (p.groups != 1 || padding == 0 || vectors > (largest <= small_extent ? more_vectors : few_vectors)) return false;
  return outputs(p) > 0 && size_of(p) * element <= cache::padded_copy;
}

Conv3dProblem problem_of(const Conv3dProblem& p) {
  Conv3dProblem q = p;
  for (int a = 0; a < 3; ++a) {
    q.in_size[a] = p.out_size[a] + p.kernel_size[a] - 1;
    q.pad[a] = 0;
  }
  return q;
}

template <class T>
memory::Scratch<T> inputs(const Conv3dProblem& p, const T* x) {
  const Conv3dProblem q = problem_of(p);
  const int64_t c = p.in_channels, row = p.in_size[2] * c, to_row = q.in_size[2] * c, before = p.pad[2] * c;
  memory::Scratch<T> all(size_of(p));
  parallel_ranges(p.batch * q.in_size[0], 16, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      T* to = all.data() + plane * q.in_size[1] * to_row;
      std::fill_n(to, q.in_size[1] * to_row, T(0));
      const int64_t h = plane % q.in_size[0] - p.pad[0];
      if (h < 0 || h >= p.in_size[0]) continue;
      const T* from = x + (plane / q.in_size[0] * p.in_size[0] + h) * p.in_size[1] * row;
      to += p.pad[1] * to_row + before;
      for (int64_t w = 0; w < p.in_size[1]; ++w, from += row, to += to_row) std::copy_n(from, row, to);
    }
  });
  return all;
}

template memory::Scratch<float> inputs(const Conv3dProblem&, const float*);
template memory::Scratch<double> inputs(const Conv3dProblem&, const double*);

}  // namespace vg::kernels::padded
