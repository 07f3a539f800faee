// Random arguments of a Conv3d, and their expected results, computed from the definitions alone.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/kernels/naive_conv3d.hpp"
#include "voxgrad/layers/conv/conv3d.hpp"

namespace fuzz {

using vg::kernels::Conv3dProblem;

/// Mostly small numbers, and some absurd ones.
inline std::int64_t number(FuzzedDataProvider& in, std::int64_t low, std::int64_t high) {
  constexpr std::int64_t odd[] = {0,
                                  -1,
                                  INT64_MAX,
                                  INT64_MIN,
                                  std::int64_t{1} << 31,
                                  (std::int64_t{1} << 31) - 1,
                                  std::int64_t{1} << 62,
                                  -(std::int64_t{1} << 32)};
  const auto kind = in.ConsumeIntegral<std::uint8_t>();
  if (kind < 246) return low + kind % (high - low + 1);
  return kind < 254 ? odd[kind - 246] : in.ConsumeIntegral<std::int64_t>();
}

/// A list of an allowed length, seldom of another one.
inline std::vector<std::int64_t> numbers(FuzzedDataProvider& in, std::initializer_list<std::size_t> lengths,
                                         std::int64_t low, std::int64_t high) {
  const auto kind = in.ConsumeIntegral<std::uint8_t>();
  const std::size_t length = kind < 250 ? lengths.begin()[kind % lengths.size()] : kind - 250u;
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < length; ++i) out.push_back(number(in, low, high));
  return out;
}

/// A padding, and whether it is allowed.
inline std::pair<vg::Padding, bool> padding(FuzzedDataProvider& in) {
  constexpr std::int64_t limit = std::int64_t{1} << 31;
  const auto fits = [](std::int64_t v) { return -limit < v && v < limit; };
  switch (in.ConsumeIntegral<std::uint8_t>() % 8) {
    case 0:
    case 1:
      return {"SAME", true};
    case 2:
      return {"VALID", true};
    case 3: {
      const std::int64_t all = number(in, -2, 3);
      return {all, fits(all)};
    }
    case 4: {
      const std::vector<std::int64_t> axes = numbers(in, {3}, -2, 3);
      return {axes, axes.size() == 3 && std::all_of(axes.begin(), axes.end(), fits)};
    }
    case 5: {
      const std::string text = in.ConsumeRandomLengthString(8);
      return {text, text == "SAME" || text == "VALID"};
    }
    default: {
      std::vector<vg::Pads> pads;
      const std::vector<std::int64_t> sides = numbers(in, {2, 6}, -2, 3);
      for (std::size_t i = 0; i + 1 < sides.size(); i += 2) pads.emplace_back(sides[i], sides[i + 1]);
      const bool fit = std::all_of(pads.begin(), pads.end(), [&](auto& p) { return fits(p.first) && fits(p.second); });
      return {pads, fit && (pads.size() == 1 || pads.size() == 3)};
    }
  }
}

/// Fixed numbers, eighths of small integers: sums of few products are exact in f32 and in bf16.
inline float eighth(std::int64_t i) { return static_cast<float>((i * 7 + i / 5) % 9 - 4) / 8; }
inline vg::Tensor eighths(const vg::Shape& shape) {
  vg::Tensor t(shape);
  for (std::int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = eighth(i);
  return t;
}

struct Arguments {
  vg::Conv3dOptions options;
  bool padding_allowed = false;
};

inline Arguments arguments(FuzzedDataProvider& in) {
  Arguments a;
  vg::Conv3dOptions& o = a.options;
  o.in_size = numbers(in, {4}, 1, 6);
  o.out_channels = number(in, 1, 10);
  o.kernel_size = numbers(in, {1, 3}, 1, 4);
  std::tie(o.padding, a.padding_allowed) = padding(in);
  const auto flags = in.ConsumeIntegral<std::uint8_t>();
  if (flags & 1) o.stride = numbers(in, {1, 3}, 1, 3);
  if (flags & 2) o.lhs_dilation = numbers(in, {1, 3}, 1, 3);
  if (flags & 4) o.rhs_dilation = numbers(in, {1, 3}, 1, 3);
  if (flags & 8) o.groups = number(in, 1, 4);
  o.channel_first = (flags & 16) != 0;
  if (flags & 32) o.b_init = vg::init::Constant(0.5);
  if (flags & 64) o.compute = vg::Compute::bf16;
  o.w_init = vg::Initializer(eighths);
  return a;
}

inline std::optional<std::array<std::int64_t, 3>> three(const std::vector<std::int64_t>& v, std::int64_t least) {
  if (v.size() != 1 && v.size() != 3) return {};
  std::array<std::int64_t, 3> out{};
  for (std::size_t a = 0; a < 3; ++a) {
    out[a] = v[v.size() == 1 ? 0 : a];
    if (out[a] < least) return {};
  }
  return out;
}

/// Whether the target does not predict the result of these options: extents are left open, or numbers exceed 2^20,
/// which the layer may refuse. The padding must be an allowed one.
inline bool no_statement(const vg::Conv3dOptions& o) {
  constexpr std::int64_t most = std::int64_t{1} << 20;
  const auto large = [](std::int64_t v) { return std::abs(v / 2) > most / 2; };
  bool odd = large(o.out_channels) || large(o.groups) || o.in_size.empty();
  for (const auto* list : {&o.in_size, &o.kernel_size.entries(), &o.stride.entries(), &o.lhs_dilation.entries(),
                           &o.rhs_dilation.entries()})
    odd |= std::any_of(list->begin(), list->end(), large);
  odd |= std::find(o.in_size.begin(), o.in_size.end(), vg::dynamic) != o.in_size.end();
  if (o.padding.mode() == vg::Padding::Mode::explicit_pads)
    for (const auto& [low, high] : o.padding.explicit_pads()) odd |= large(low) || large(high);
  return odd;
}

/// Whether the layer, or its output for an input of at most 64 voxels per side, legitimately needs more than a few MB
/// (and not so much that no machine has the memory, which must be an exception).
inline bool too_much_memory(const vg::Conv3dOptions& o) {
  const auto at = [](const std::vector<std::int64_t>& v, std::size_t a) {
    return v.empty() ? 1.0 : static_cast<double>(v[v.size() == 1 ? 0 : std::min(a, v.size() - 1)]);
  };
  double weights = std::max(1.0, static_cast<double>(o.out_channels)), outputs = 2 * weights;
  weights *= o.in_size.empty() ? 6 : std::max(1.0, at(o.in_size, o.channel_first ? 0 : 3));
  for (std::size_t a = 0; a < 3; ++a) {
    weights *= std::max(1.0, at(o.kernel_size.entries(), a));
    double room = 64 * std::max(1.0, at(o.lhs_dilation.entries(), a));
    if (o.padding.mode() == vg::Padding::Mode::explicit_pads) {
      const auto [low, high] = o.padding.explicit_pads()[a];
      room += static_cast<double>(low) + static_cast<double>(high);
    }
    outputs *= std::max(1.0, room / std::max(1.0, at(o.stride.entries(), a)));
  }
  // The weight has the input channels of one group only.
  const double groups = std::max(1.0, static_cast<double>(o.groups));
  return (weights > 0x1p22 && weights / groups < 0x1p45) || (outputs > 0x1p22 && outputs < 0x1p45);
}

/// The padding on both sides of an axis. `kernel` is the dilated extent.
inline vg::Pads sides(const vg::Padding& padding, std::size_t axis, std::int64_t in, std::int64_t kernel,
                      std::int64_t stride) {
  if (padding.mode() == vg::Padding::Mode::valid) return {0, 0};
  if (padding.mode() == vg::Padding::Mode::explicit_pads) return padding.explicit_pads()[axis];
  const std::int64_t out = (in + stride - 1) / stride;
  const std::int64_t all = std::max<std::int64_t>(0, (out - 1) * stride + kernel - in);
  return {all / 2, all - all / 2};
}

/// The convolution problem of these options for a batch; empty if they are not allowed.
inline std::optional<Conv3dProblem> problem_of(const vg::Conv3dOptions& o, std::int64_t batch) {
  const auto kernel = three(o.kernel_size.entries(), 1), stride = three(o.stride.entries(), 1);
  const auto lhs = three(o.lhs_dilation.entries(), 1), rhs = three(o.rhs_dilation.entries(), 1);
  if (o.in_size.size() != 4 || !kernel || !stride || !lhs || !rhs) return {};
  for (const std::int64_t extent : o.in_size)
    if (extent < 1) return {};
  const bool dilates = *lhs != std::array<std::int64_t, 3>{1, 1, 1};
  if (dilates && o.padding.mode() != vg::Padding::Mode::explicit_pads) return {};
  Conv3dProblem p{};
  p.batch = batch;
  p.in_channels = o.in_size[o.channel_first ? 0 : 3];
  p.out_channels = o.out_channels;
  p.groups = o.groups;
  if (o.groups < 1 || o.out_channels < 1 || p.in_channels % o.groups != 0 || o.out_channels % o.groups != 0) return {};
  for (std::size_t a = 0; a < 3; ++a) {
    p.in_size[a] = o.in_size[a + (o.channel_first ? 1 : 0)];
    p.kernel_size[a] = (*kernel)[a];
    p.stride[a] = (*stride)[a];
    p.lhs_dilation[a] = (*lhs)[a];
    p.rhs_dilation[a] = (*rhs)[a];
    const std::int64_t reach = 1 + (p.kernel_size[a] - 1) * p.rhs_dilation[a];
    const auto [low, high] = sides(o.padding, a, p.in_size[a], reach, p.stride[a]);
    p.pad[a] = low;
    const std::int64_t extent = 1 + (p.in_size[a] - 1) * p.lhs_dilation[a], left = extent + low + high - reach;
    if (left < 0 || extent + std::min(low, high) < 0) return {};
    p.out_size[a] = left / p.stride[a] + 1;
  }
  return p;
}

/// The number of products plus the number of input elements, because strides may skip most of those.
inline double work(const Conv3dProblem& p) {
  const auto batch = static_cast<double>(p.batch);
  double products = batch * static_cast<double>(p.out_channels) * static_cast<double>(p.in_channels / p.groups);
  double elements = batch * static_cast<double>(p.in_channels);
  for (std::size_t a = 0; a < 3; ++a) {
    products *= static_cast<double>(p.out_size[a]) * static_cast<double>(p.kernel_size[a]);
    elements *= static_cast<double>(p.in_size[a]);
  }
  return products + elements;
}

}  // namespace fuzz
