#include "voxgrad/framework/kernels/bf16/row_chunks.hpp"

#include <algorithm>

#include "voxgrad/framework/kernels/common/driver.hpp"

namespace vg::kernels {

using std::int64_t;

namespace {

/// The planes of the input that the outputs [begin, end) along H read; none if first == last.
struct Planes {
  int64_t first, last;
};
Planes planes_of(const Conv3dProblem& p, int64_t begin, int64_t end) {
  // i * lhs_dilation = o * stride - pad + k * rhs_dilation
  const int64_t low = begin * p.stride[0] - p.pad[0],
                high = (end - 1) * p.stride[0] - p.pad[0] + (p.kernel_size[0] - 1) * p.rhs_dilation[0];
  const int64_t first = low <= 0 ? 0 : std::min(p.in_size[0], ceil_div(low, p.lhs_dilation[0]));
  const int64_t last = high < 0 ? 0 : std::min(p.in_size[0], high / p.lhs_dilation[0] + 1);
  return {first, std::max(first, last)};
}

}  // namespace

RowChunk row_chunk_of(const Conv3dProblem& p, int64_t sample, int64_t begin, int64_t end) {
  const Planes planes = planes_of(p, begin, end);
  RowChunk s{p, 0, 0};
  s.p.batch = 1;
  s.p.in_size[0] = planes.last - planes.first;
  s.p.out_size[0] = end - begin;
  s.p.pad[0] = p.pad[0] - begin * p.stride[0] + planes.first * p.lhs_dilation[0];
  s.x = sample * in_volume(p) + planes.first * (in_volume(p) / std::max<int64_t>(1, p.in_size[0]));
  s.y = sample * out_volume(p) + begin * (out_volume(p) / std::max<int64_t>(1, p.out_size[0]));
  return s;
}

bool fits_chunk(const Conv3dProblem& p, int64_t elements) {
  return outputs(p) == 0 || p.batch * (in_volume(p) + out_volume(p)) <= elements;
}

int64_t chunk_planes(const Conv3dProblem& p, int64_t elements) {
  const auto size = [&p](int64_t planes) {
    const RowChunk s = row_chunk_of(p, 0, 0, planes);
    // the input planes of a chunk that reads no padding
    const int64_t span = (planes - 1) * p.stride[0] + (p.kernel_size[0] - 1) * p.rhs_dilation[0] + 1;
    const int64_t met = std::min(p.in_size[0], ceil_div(span, p.lhs_dilation[0]));
    return in_volume(p) / std::max<int64_t>(1, p.in_size[0]) * met + out_volume(s.p);
  };
  int64_t fits = 1, too_many = p.out_size[0] + 1;
  while (too_many - fits > 1) {
    const int64_t middle = fits + (too_many - fits) / 2;
    (size(middle) <= elements ? fits : too_many) = middle;
  }
  return fits;
}

}  // namespace vg::kernels
