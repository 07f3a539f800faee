// A convolution to be timed, parsed from a line of a problem file. The line has the keys of brainstate.nn.Conv3d, and
// name, class, batch and dtype.
#pragma once

#include <string>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace bench {

struct Problem {
  std::string name;
  std::string dtype;  ///< "f32", "f64" or "bf16"
  vg::kernels::Conv3dProblem sizes;
};

/// Throws vg::ValueError or vg::TypeError with the name of the key if the line is not a valid problem.
Problem parse_problem(const std::string& line);

/// Two per multiplication of a pass. Taps in the padding count; zeros that lhs_dilation inserts do not.
double flops(const vg::kernels::Conv3dProblem& p);

inline std::int64_t x_size(const vg::kernels::Conv3dProblem& p) {
  return p.batch * p.in_size[0] * p.in_size[1] * p.in_size[2] * p.in_channels;
}
inline std::int64_t w_size(const vg::kernels::Conv3dProblem& p) {
  return p.kernel_size[0] * p.kernel_size[1] * p.kernel_size[2] * (p.in_channels / p.groups) * p.out_channels;
}
inline std::int64_t y_size(const vg::kernels::Conv3dProblem& p) {
  return p.batch * p.out_size[0] * p.out_size[1] * p.out_size[2] * p.out_channels;
}

}  // namespace bench
