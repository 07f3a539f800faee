#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/bias.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/conv/conv3d.hpp"
#include "voxgrad/layers/input_check.hpp"

namespace vg {

namespace {

Triple spatial(const Size& size, bool channel_first) {
  const std::size_t first = channel_first ? 1 : 0;
  return {size[first], size[first + 1], size[first + 2]};
}

Triple spatial(const Variable& x) { return {x.dim(1), x.dim(2), x.dim(3)}; }

bool has_any(const Triple& size) { return std::find(size.begin(), size.end(), dynamic) != size.end(); }

Size check_conv_size(const std::string& where, const Size& in_size, bool channel_first) {
  Size size = in_size;
  if (channel_first && size.size() == 4) std::rotate(size.begin(), size.begin() + 1, size.end());
  if (size.size() != 4)
    throw ValueError(fmt::format("[{}] in_size: got {} with {} entries; must have 4: {}", where, size_text(in_size),
                                 in_size.size(), channel_first ? "(C, H, W, D)" : "(H, W, D, C)"));
  check_extents(where, in_size);
  if (size.back() == dynamic)
    throw ValueError(fmt::format("[{}] in_size: got {}; the channels must be fixed", where, size_text(in_size)));
  return size;
}

// A bias may have any shape that broadcasts (brainstate), but only bias_add, with one number per channel, can be fused.
Variable with_bias(const Variable& y, const Variable& bias) {
  const bool a_channel = bias.rank() > 0 && bias.dim(-1) == y.dim(-1) && bias.numel() == y.dim(-1);
  return a_channel ? bias_add(y, bias) : y + bias;
}

}  // namespace

ConvLayer3d::ConvLayer3d(std::string name, Frame frame)
    : Layer(std::move(name)),
      frame_(std::move(frame)),
      w_init_(frame_.w_init.str()),
      b_init_(frame_.b_init.str()),
      w_mask_(frame_.w_mask.str()) {}

void ConvLayer3d::start(const Size& in_size) {
  if (out_channels() < 1)
    throw ValueError(fmt::format("[{}] out_channels: got {}; must be at least 1", where(), out_channels()));
  if (groups() < 1) throw ValueError(fmt::format("[{}] groups: got {}; must be at least 1", where(), groups()));
  if (out_channels() % groups() != 0)
    throw ValueError(
        fmt::format("[{}] out_channels: got {}; must be divisible by groups = {}", where(), out_channels(), groups()));
  if (!frame_.w_init)
    throw ValueError(fmt::format("[{}] w_init: got None; must be an initializer or an array", where()));
  if (!in_size.empty()) build(in_size);
}

Triple ConvLayer3d::checked_out(const Triple& in) const {
  Triple assumed = in;  // a dynamic extent is assumed to be large enough
  std::replace(assumed.begin(), assumed.end(), dynamic, std::int64_t{1} << 31);
  Triple out = spatial_out(assumed);
  for (std::size_t i = 0; i < 3; ++i) {
    if (out[i] < 1)
      throw ValueError(
          fmt::format("[{}] output: would be empty, got ({}) for an input of {}; the padded input must hold the kernel",
                      where(), fmt::join(out, ", "), size_text({in.begin(), in.end()})));
    if (in[i] == dynamic) out[i] = dynamic;
  }
  return out;
}

void ConvLayer3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  const Size last = check_conv_size(where(), in_size, frame_.channel_first);
  const std::int64_t channels = last[3];
  if (channels % groups() != 0)
    throw ValueError(
        fmt::format("[{}] in_channels: got {}; must be divisible by groups = {}", where(), channels, groups()));
  const Triple out = checked_out({last[0], last[1], last[2]});
  const std::int64_t o = out_channels();

  const Shape kernel = kernel_shape(channels);
  kernel.numel();  // throws if the product is too large
  const Shape bias_shape = frame_.channel_first ? Shape{1, o, 1, 1, 1} : Shape{1, 1, 1, o};
  Tensor mask, bias;
  if (frame_.w_mask) mask = make_broadcast(where(), "w_mask", frame_.w_mask, kernel, std::nullopt);
  const Tensor w = make_parameter(where(), "w_init", frame_.w_init, kernel);
  if (frame_.b_init) bias = make_broadcast(where(), "b_init", frame_.b_init, bias_shape, w.dtype());

  weight.add(kernel_leaf(), w);
  if (bias.defined()) weight.add("bias", bias);
  add_leaves(w.dtype());
  mask_ = mask;
  frame_.w_init = frame_.b_init = frame_.w_mask = std::nullopt;
  set_sizes(in_size, frame_.channel_first ? Size{o, out[0], out[1], out[2]} : Size{out[0], out[1], out[2], o});
}

Variable ConvLayer3d::masked(const Variable& w) {
  if (!mask_.defined()) return w;
  if (!cast_mask_.defined() || cast_mask_.dtype() != w.dtype()) cast_mask_ = Variable(mask_.to(w.dtype()));
  return w * cast_mask_;
}

Variable ConvLayer3d::update(Variable x) {
  require_built();
  const bool batch = x.rank() > 0 && detail::fits(x.shape(), 1, in_size());
  if (!batch && !detail::fits(x.shape(), 0, in_size()))
    detail::refuse_shape(where(), x.shape(), in_size(),
                         detail::layout_hint(x.shape(), in_size(), frame_.channel_first, true));
  if (const DType dtype = weight[kernel_leaf()].dtype(); x.dtype() != dtype)
    detail::refuse_dtype(where(), x.dtype(), dtype);
  Variable v = batch ? x : detail::with_batch(x);
  if (frame_.channel_first) v = transpose(v, {0, 2, 3, 4, 1});
  if (has_any(spatial(in_size(), frame_.channel_first))) checked_out(spatial(v));
  Variable y = convolve(v);
  if (frame_.channel_first) y = transpose(y, {0, 4, 1, 2, 3});
  if (weight.has("bias")) y = with_bias(y, weight["bias"]);
  return batch ? y : detail::without_batch(y);
}

Attributes ConvLayer3d::frame_options() const {
  Attributes values = detail::with({{"groups", frame_.groups},
                                    {"w_init", w_init_},
                                    {"b_init", b_init_},
                                    {"w_mask", w_mask_},
                                    {"channel_first", frame_.channel_first}},
                                   mask_options(mask_));
  // only if it was set, so that checkpoints from before this option existed still fit
  if (compute() != Compute::automatic) values.emplace_back("compute", std::string(name_of(compute())));
  values.emplace_back("name", name());
  return values;
}

}  // namespace vg
