// The reference for every Conv3d kernel: seven nested loops that follow the relation in problem.hpp. Do not change it.
#pragma once

#include <cstdint>
#include <vector>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::test {

using kernels::Conv3dProblem;

inline std::int64_t x_size(const Conv3dProblem& p) {
  return p.batch * p.in_size[0] * p.in_size[1] * p.in_size[2] * p.in_channels;
}
inline std::int64_t y_size(const Conv3dProblem& p) {
  return p.batch * p.out_size[0] * p.out_size[1] * p.out_size[2] * p.out_channels;
}
inline std::int64_t w_size(const Conv3dProblem& p) {
  return p.kernel_size[0] * p.kernel_size[1] * p.kernel_size[2] * (p.in_channels / p.groups) * p.out_channels;
}

/// The input that output o uses with tap k along an axis, or -1.
inline std::int64_t meeting_input(const Conv3dProblem& p, int a, std::int64_t o, std::int64_t k) {
  const std::int64_t at = o * p.stride[a] - p.pad[a] + k * p.rhs_dilation[a];
  if (at < 0 || at % p.lhs_dilation[a] != 0 || at / p.lhs_dilation[a] >= p.in_size[a]) return -1;
  return at / p.lhs_dilation[a];
}

/// Calls f(x index, w index, y index) for every product of the convolution.
template <class F>
void for_each_product(const Conv3dProblem& p, F&& f) {
  const std::int64_t ci = p.in_channels / p.groups, co = p.out_channels / p.groups;
  const std::int64_t *in = p.in_size, *out = p.out_size, *K = p.kernel_size;
  for (std::int64_t n = 0; n < p.batch; ++n)
    for (std::int64_t oh = 0; oh < out[0]; ++oh)
      for (std::int64_t ow = 0; ow < out[1]; ++ow)
        for (std::int64_t od = 0; od < out[2]; ++od)
          for (std::int64_t k = 0; k < K[0] * K[1] * K[2]; ++k) {
            const std::int64_t ih = meeting_input(p, 0, oh, k / (K[1] * K[2]));
            const std::int64_t iw = meeting_input(p, 1, ow, k / K[2] % K[1]);
            const std::int64_t id = meeting_input(p, 2, od, k % K[2]);
            if (ih < 0 || iw < 0 || id < 0) continue;
            const std::int64_t x = (((n * in[0] + ih) * in[1] + iw) * in[2] + id) * p.in_channels;
            const std::int64_t y = (((n * out[0] + oh) * out[1] + ow) * out[2] + od) * p.out_channels;
            for (std::int64_t c = 0; c < p.out_channels; ++c)
              for (std::int64_t i = 0; i < ci; ++i) f(x + c / co * ci + i, (k * ci + i) * p.out_channels + c, y + c);
          }
}

struct NaiveConv3d {
  std::vector<double> y, dx, dw;
};

/// All three passes, in double.
inline NaiveConv3d naive_conv3d(const Conv3dProblem& p, const std::vector<double>& x, const std::vector<double>& w,
                                const std::vector<double>& dy) {
  NaiveConv3d r{std::vector<double>(dy.size(), 0.0), std::vector<double>(x.size(), 0.0),
                std::vector<double>(w.size(), 0.0)};
  for_each_product(p, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
    const auto i = static_cast<std::size_t>(xi), j = static_cast<std::size_t>(wi), k = static_cast<std::size_t>(yi);
    r.y[k] += x[i] * w[j];
    r.dx[i] += dy[k] * w[j];
    r.dw[j] += dy[k] * x[i];
  });
  return r;
}

}  // namespace vg::test
