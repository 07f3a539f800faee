// The one type of lazy ops. It has a source (a convolution, a concatenation or a volume), or a source with a channel
// map. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "voxgrad/framework/autograd/lazy.hpp"
#include "voxgrad/framework/kernels/common/activation.hpp"
#include "voxgrad/framework/ops/detail/conv.hpp"
#include "voxgrad/framework/ops/fusion.hpp"

namespace vg::detail {

/// Channels-last data (batch, rows, channels), and the groups of channels that share statistics.
struct NormView {
  std::int64_t batch, rows, groups, width;  ///< width: channels per group

  std::int64_t channels() const { return groups * width; }
  std::int64_t stats() const { return batch * groups; }
  std::int64_t elements() const { return batch * rows * channels(); }
  /// The number of values in one mean.
  std::int64_t count() const { return rows * width; }
  std::int64_t block_rows() const { return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, channels())); }
  std::int64_t blocks() const { return (rows + block_rows() - 1) / block_rows(); }
};

/// act((x + conv_bias - mean) * rstd * scale + bias + residual). Without statistics it is act(x + conv_bias), which is
/// bias_add. The inputs are x and those of conv_bias, scale, bias and residual that are defined.
struct ChannelOp {
  fusion::Op op = fusion::Op::none;
  NormView view{};
  Variable x{}, conv_bias{}, scale{}, bias{};  // conv_bias: one value per channel
  double eps = 0;
  bool constant = false;   // the statistics are given (normalize)
  Tensor stats{};          // f64 (2, batch * groups): means, then 1 / sqrt(var + eps)
  Tensor channel_means{};  // f64 (batch, channels); only if computed from x
  Variable residual{};     // a volume
  kernels::Activation activation{};

  enum Input : std::size_t { of_x, of_conv_bias, of_scale, of_bias, of_residual, inputs_count };
  const Variable& input(std::size_t i) const {
    const Variable* all[inputs_count] = {&x, &conv_bias, &scale, &bias, &residual};
    return *all[i];
  }
  std::vector<Variable> inputs() const {
    std::vector<Variable> all;
    all.reserve(inputs_count);
    for (std::size_t i = 0; i < inputs_count; ++i)
      if (input(i).defined()) all.push_back(input(i));
    return all;
  }
};

struct Lazy final : LazyOp {
  /// The value with an activation, which only a channel map has. If `donated`, no handle of the value itself is left,
  /// so a convolution that computes the map's input may apply the map and the activation in its epilogue.
  using Value = Tensor (*)(const Lazy&, const kernels::Activation&, bool donated);

  Lazy(fusion::Op lazy_op, const Shape& of_value, DType type, Value f, std::vector<Variable> sources)
      : LazyOp(of_value, type), op(lazy_op), value(f), parts(std::move(sources)) {}
  /// A channel map; `of_activation` returns its vjp with an activation.
  Lazy(ChannelOp channel_map, Vjp (*of_activation)(const Lazy&, const kernels::Activation&));
  Tensor compute() const override { return value(*this, {}, true); }

  fusion::Op op;
  Value value;
  std::vector<Variable> parts{};  ///< of a concatenation, or of the x of a convolution
  Variable w{};                   ///< of a convolution
  Convolution conv{};
  ChannelOp map{};  ///< of all other ops
  Vjp (*vjp)(const Lazy&, const kernels::Activation&) = nullptr;
};

/// The op that computes x if `consumer` absorbs it (fusion.hpp), else null. With `producer`, only if it is that op.
std::shared_ptr<const Lazy> absorbed(const Variable& x, fusion::Op consumer, fusion::Op producer = fusion::Op::none);

/// act(x), or a + b, as one op with the lazy op of x, of a or of b; undefined if they do not fuse.
Variable fused_activation(const Variable& x, const kernels::Activation& activation);
Variable fused_sum(const Variable& a, const Variable& b);

}  // namespace vg::detail
