// Conv3d problems for tests: random ones, with chosen arguments, and from a line of text that reproduces a failure.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::test {

using kernels::Conv3dProblem;

/// A problem with the default arguments and `out_size` left at zero.
inline Conv3dProblem conv3d_problem(std::int64_t batch, std::vector<std::int64_t> in, std::int64_t ci,
                                    std::int64_t co) {
  Conv3dProblem p{};
  p.batch = batch;
  p.in_channels = ci;
  p.out_channels = co;
  p.groups = 1;
  for (std::size_t a = 0; a < 3; ++a) {
    p.in_size[a] = in[a];
    p.kernel_size[a] = p.stride[a] = p.lhs_dilation[a] = p.rhs_dilation[a] = 1;
  }
  return p;
}

/// Sets the out_size that results from `high` padding on the high side.
inline void set_out_size(Conv3dProblem& p, int a, std::int64_t high) {
  const std::int64_t in = p.in_size[a] == 0 ? 0 : (p.in_size[a] - 1) * p.lhs_dilation[a] + 1;
  const std::int64_t left = in + p.pad[a] + high - ((p.kernel_size[a] - 1) * p.rhs_dilation[a] + 1);
  p.out_size[a] = left < 0 ? 0 : left / p.stride[a] + 1;
}

/// A cubic kernel with equal arguments in the three dimensions.
inline Conv3dProblem cubic(std::int64_t batch, std::vector<std::int64_t> in, std::int64_t ci, std::int64_t co,
                           std::int64_t k, std::int64_t stride, std::int64_t pad, std::int64_t groups = 1) {
  Conv3dProblem p = conv3d_problem(batch, std::move(in), ci, co);
  p.groups = groups;
  for (int a = 0; a < 3; ++a) {
    p.kernel_size[a] = k;
    p.stride[a] = stride;
    p.pad[a] = pad;
    set_out_size(p, a, pad);
  }
  return p;
}

/// `p` with a kernel of these extents, and half of each extent as padding on both sides.
inline Conv3dProblem with_kernel(Conv3dProblem p, const std::array<std::int64_t, 3>& kernel) {
  for (int a = 0; a < 3; ++a) {
    p.kernel_size[a] = kernel[static_cast<std::size_t>(a)];
    p.pad[a] = p.kernel_size[a] / 2;
    set_out_size(p, a, p.pad[a]);
  }
  return p;
}

/// `p` with these dilations, strides, and pads on the low and the high sides.
inline Conv3dProblem with(Conv3dProblem p, std::vector<std::int64_t> lhs, std::vector<std::int64_t> rhs,
                          std::vector<std::int64_t> stride, std::vector<std::int64_t> low,
                          std::vector<std::int64_t> high) {
  for (int a = 0; a < 3; ++a) {
    const auto i = static_cast<std::size_t>(a);
    p.lhs_dilation[a] = lhs[i];
    p.rhs_dilation[a] = rhs[i];
    p.stride[a] = stride[i];
    p.pad[a] = low[i];
    set_out_size(p, a, high[i]);
  }
  return p;
}

inline std::string to_line(const Conv3dProblem& p) {
  std::ostringstream s;
  const auto three = [&s](const char* name, const std::int64_t* v) {
    s << name << ' ' << v[0] << ' ' << v[1] << ' ' << v[2] << ' ';
  };
  s << "batch " << p.batch << ' ';
  three("in", p.in_size);
  three("out", p.out_size);
  three("kernel", p.kernel_size);
  three("stride", p.stride);
  three("pad", p.pad);
  three("lhs", p.lhs_dilation);
  three("rhs", p.rhs_dilation);
  s << "channels " << p.in_channels << ' ' << p.out_channels << " groups " << p.groups;
  return s.str();
}

/// The inverse of to_line.
inline Conv3dProblem from_line(const std::string& line) {
  std::istringstream s(line);
  std::string word;
  Conv3dProblem p{};
  s >> word >> p.batch;
  for (std::int64_t* v : {p.in_size, p.out_size, p.kernel_size, p.stride, p.pad, p.lhs_dilation, p.rhs_dilation})
    s >> word >> v[0] >> v[1] >> v[2];
  s >> word >> p.in_channels >> p.out_channels >> word >> p.groups;
  if (!s) throw std::runtime_error("not a line of to_line: " + line);
  return p;
}

/// Eighths of small integers: sums of their products are exact in float.
inline std::vector<double> small_integers(std::int64_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<double> v(static_cast<std::size_t>(n));
  for (double& a : v) a = static_cast<double>(static_cast<std::int64_t>(random() % 9) - 4) / 8;
  return v;
}

/// Numbers of a normal distribution, rounded to float.
inline std::vector<double> reals(std::int64_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<double> v(static_cast<std::size_t>(n));
  for (double& a : v) a = static_cast<double>(normal(random));
  return v;
}

/// Stride 1, and 3 or 5 taps in some dimensions and 1 in the others: problems to which Winograd applies.
inline Conv3dProblem random_winograd_problem(std::uint64_t seed) {
  std::mt19937_64 random(seed * 0x9E3779B97F4A7C15ULL + 2);
  const auto pick = [&random](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  const std::int64_t most = pick(0, 2) == 0 ? 40 : 9, dimensions = pick(1, 7);  // one bit per dimension
  Conv3dProblem p = conv3d_problem(pick(1, 3), {pick(1, 7), pick(1, 7), pick(1, 12)}, pick(1, most), pick(1, most));
  for (int a = 0; a < 3; ++a) {
    if (dimensions >> a & 1) p.kernel_size[a] = pick(0, 2) == 0 ? 5 : 3;
    if (pick(0, 2) == 0) p.rhs_dilation[a] = pick(2, 3);
    p.pad[a] = pick(-1, (p.kernel_size[a] / 2 + 1) * p.rhs_dilation[a]);
    set_out_size(p, a, pick(-1, (p.kernel_size[a] / 2 + 1) * p.rhs_dilation[a]));
  }
  return p;
}

/// Stride 2, or an input dilation of 2, and three taps: problems for the strided Winograd scheme.
inline Conv3dProblem random_strided_problem(std::uint64_t seed) {
  std::mt19937_64 random(seed * 0x9E3779B97F4A7C15ULL + 3);
  const auto pick = [&random](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  const std::int64_t most = pick(0, 2) == 0 ? 40 : 9;
  const bool dilated = pick(0, 1) == 0;
  Conv3dProblem p =
      cubic(pick(1, 3), {pick(1, 9), pick(1, 9), pick(1, 20)}, pick(1, most), pick(1, most), 3, dilated ? 1 : 2, 1);
  for (int a = 0; a < 3; ++a) {
    if (dilated) p.lhs_dilation[a] = 2;
    p.pad[a] = pick(-2, 4);
    set_out_size(p, a, pick(-2, 4));
  }
  return p;
}

/// Any arguments, small enough for the naive loop.
inline Conv3dProblem random_problem(std::uint64_t seed) {
  std::mt19937_64 random(seed * 0x9E3779B97F4A7C15ULL + 1);
  const auto pick = [&random](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  const auto often_one = [&](std::int64_t high) { return pick(0, 2) == 0 ? pick(1, high) : 1; };
  Conv3dProblem p{};
  for (;;) {
    p.batch = pick(0, 19) == 0 ? 0 : pick(1, 2);
    const std::int64_t style = pick(0, 5);  // 0: depthwise, with or without a multiplier; 1: groups; else dense
    p.groups = style == 0 ? pick(2, 40) : style == 1 ? pick(2, 5) : 1;
    const std::int64_t most = pick(0, 2) == 0 ? 70 : 9;
    p.in_channels = p.groups * (style == 0 ? 1 : pick(1, std::max<std::int64_t>(1, most / p.groups)));
    p.out_channels = p.groups * (style == 0 ? pick(1, 3) : pick(1, std::max<std::int64_t>(1, most / p.groups)));
    if (style == 0 && pick(0, 1) == 0) p.out_channels = p.groups;
    for (int a = 0; a < 3; ++a) {
      p.in_size[a] = pick(0, 49) == 0 ? 0 : pick(1, a == 2 ? 20 : 7);
      p.kernel_size[a] = pick(1, pick(0, 9) == 0 ? 7 : 3);
      p.stride[a] = often_one(3);
      p.lhs_dilation[a] = often_one(4);
      p.rhs_dilation[a] = often_one(3);
      const std::int64_t reach = (p.kernel_size[a] - 1) * p.rhs_dilation[a];
      p.pad[a] = pick(-2, reach + 2);
      set_out_size(p, a, pick(-2, reach + 2));
    }
    const double work = static_cast<double>(p.batch * p.out_size[0] * p.out_size[1] * p.out_size[2]) *
                        static_cast<double>(p.kernel_size[0] * p.kernel_size[1] * p.kernel_size[2]) *
                        static_cast<double>(p.in_channels / p.groups * p.out_channels);
    if (work < 1e6) return p;
  }
}

}  // namespace vg::test
