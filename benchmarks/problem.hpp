// A convolution to be timed, parsed from a line of a problem file. The line has the keys of brainstate.nn.Conv3d, and
// name, class, batch and dtype.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "voxgrad/framework/base/threads.hpp"
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

/// Uniform values in [-1, 1), a function of seed and position.
template <class T>
void fill(T* values, std::int64_t n, std::uint64_t seed) {
  vg::parallel_ranges(n, 1 << 20, [&](std::int64_t begin, std::int64_t end) {
    std::uint64_t state = (seed << 40) + static_cast<std::uint64_t>(begin);
    for (std::int64_t i = begin; i < end; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      values[i] = static_cast<T>(static_cast<double>(state >> 11) * 0x1p-52 - 1.0);
    }
  });
}

/// Calls answer(lines) with the file `path`, or with stdin for "-". Returns the exit status of a program: 0 if answer()
/// gave no error. Exceptions are printed to stderr.
int with_problems(const std::string& path, const std::function<int(std::istream&)>& answer);

}  // namespace bench
