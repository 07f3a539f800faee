#include "voxgrad/layers/conv/conv_layer3d.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/bias.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/conv/conv3d.hpp"
#include "voxgrad/layers/conv/conv_transpose3d.hpp"
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

template <class O>
Triple lhs_dilation_of(const O& o) {
  if constexpr (requires { o.lhs_dilation; })
    return o.lhs_dilation.values();
  else
    return {1, 1, 1};
}

// The list of the options of every convolution, of those that O has.
template <class O>
void conv_fields(Fields& f, O& o) {
  f("in_size", o.in_size);
  f("out_channels", o.out_channels, at_least(1));
  f("kernel_size", o.kernel_size);
  f("stride", o.stride);
  f("padding", o.padding);
  if constexpr (requires { o.lhs_dilation; }) f("lhs_dilation", o.lhs_dilation);
  f("rhs_dilation", o.rhs_dilation);
  f("groups", o.groups, at_least(1));
  if constexpr (requires { o.ws_gain; }) {
    f("ws_gain", o.ws_gain);
    f("eps", o.eps, at_least(0));
  }
  required_initializer(f, "w_init", o.w_init);
  f("b_init", o.b_init);
  mask_field(f, "w_mask", o.w_mask);
  f("channel_first", o.channel_first);
  f.if_given("compute", o.compute);
  f("name", o.name);
  if (!f.checking()) return;
  if (o.out_channels % o.groups != 0)
    f.refuse("out_channels", fmt::format("got {}; must be divisible by groups = {}", o.out_channels, o.groups));
  if (const Triple dilation = lhs_dilation_of(o);
      dilation != Triple{1, 1, 1} && o.padding.mode() != Padding::Mode::explicit_pads)
    f.refuse("padding",
             fmt::format("got \"{}\" with lhs_dilation = ({}); an input dilation needs explicit padding",
                         o.padding.mode() == Padding::Mode::same ? "SAME" : "VALID", fmt::join(dilation, ", ")));
}

}  // namespace

template <class O>
Conv3dArgs ConvLayerWith<O>::args(const Triple& in) const {
  const O& o = this->options_;
  const Triple stride = o.stride.values(), rhs_dilation = o.rhs_dilation.values();
  return {.stride = stride,
          .padding = o.padding.resolve(in, dilated(o.kernel_size.values(), rhs_dilation), stride),
          .lhs_dilation = lhs_dilation_of(o),
          .rhs_dilation = rhs_dilation,
          .groups = o.groups,
          .compute = o.compute};
}

template <class O>
Shape ConvLayerWith<O>::kernel_shape(std::int64_t in_channels) const {
  const O& o = this->options_;
  const Triple k = o.kernel_size.values();
  return {k[0], k[1], k[2], in_channels / o.groups, o.out_channels};
}

template <class O>
Triple ConvLayerWith<O>::spatial_out(const Triple& in) const {
  Conv3dArgs one_group = args(in);
  one_group.groups = 1;
  return conv3d_out_size(in, this->options_.kernel_size.values(), one_group, this->where());
}

template <class O>
Variable ConvLayerWith<O>::convolve(const Variable& x, const Variable& kernel) const {
  return conv3d(x, kernel, args(spatial(x)));
}

template <class O>
Triple ConvLayerWith<O>::checked_out(const Triple& in) const {
  Triple assumed = in;  // a dynamic extent is assumed to be large enough
  std::replace(assumed.begin(), assumed.end(), dynamic, std::int64_t{1} << 31);
  Triple out = spatial_out(assumed);
  for (std::size_t i = 0; i < 3; ++i) {
    if (out[i] < 1)
      throw ValueError(
          fmt::format("[{}] output: would be empty, got ({}) for an input of {}; the padded input must hold the kernel",
                      this->where(), fmt::join(out, ", "), size_text({in.begin(), in.end()})));
    if (in[i] == dynamic) out[i] = dynamic;
  }
  return out;
}

template <class O>
void ConvLayerWith<O>::build(const Size& in_size) {
  if (this->built()) return this->require_same(in_size);
  O& options = this->options_;
  const std::string where = this->where();
  const Size last = check_conv_size(where, in_size, options.channel_first);
  const std::int64_t channels = last[3], o = options.out_channels;
  if (channels % options.groups != 0)
    throw ValueError(
        fmt::format("[{}] in_channels: got {}; must be divisible by groups = {}", where, channels, options.groups));
  const Triple out = checked_out({last[0], last[1], last[2]});

  const Shape shape = kernel_shape(channels);
  shape.numel();  // throws if the product is too large
  const Shape bias_shape = options.channel_first ? Shape{1, o, 1, 1, 1} : Shape{1, 1, 1, o};
  Tensor mask, bias;
  if (options.w_mask) mask = make_broadcast(where, "w_mask", options.w_mask, shape, std::nullopt);
  const Tensor w = make_parameter(where, "w_init", options.w_init, shape);
  if (options.b_init) bias = make_broadcast(where, "b_init", options.b_init, bias_shape, w.dtype());

  this->weight.add(kernel_leaf(), w);
  if (bias.defined()) this->weight.add("bias", bias);
  add_leaves(w.dtype());
  mask_ = mask;
  options.w_init = options.w_init.used();
  options.b_init = options.b_init.used();
  if (mask.defined()) options.w_mask = options.w_mask.holding(mask);
  this->set_sizes(in_size, options.channel_first ? Size{o, out[0], out[1], out[2]} : Size{out[0], out[1], out[2], o});
}

template <class O>
Variable ConvLayerWith<O>::update(Variable x) {
  this->require_built();
  const bool channel_first = this->options_.channel_first;
  const Size& in_size = this->in_size();
  const bool batch = x.rank() > 0 && detail::fits(x.shape(), 1, in_size);
  if (!batch && !detail::fits(x.shape(), 0, in_size))
    detail::refuse_shape(this->where(), x.shape(), in_size,
                         detail::layout_hint(x.shape(), in_size, channel_first, true));
  if (const DType dtype = this->weight[kernel_leaf()].dtype(); x.dtype() != dtype)
    detail::refuse_dtype(this->where(), x.dtype(), dtype);
  Variable v = batch ? x : detail::with_batch(x);
  if (channel_first) v = transpose(v, {0, 2, 3, 4, 1});
  if (has_any(spatial(in_size, channel_first))) checked_out(spatial(v));
  Variable w = kernel();
  if (mask_.defined()) {
    if (!cast_mask_.defined() || cast_mask_.dtype() != w.dtype()) cast_mask_ = Variable(mask_.to(w.dtype()));
    w = w * cast_mask_;
  }
  Variable y = convolve(v, w);
  if (channel_first) y = transpose(y, {0, 4, 1, 2, 3});
  if (this->weight.has("bias")) y = with_bias(y, this->weight["bias"]);
  return batch ? y : detail::without_batch(y);
}

void Conv3dOptions::fields(Fields& f) { conv_fields(f, *this); }
void ScaledWSConv3dOptions::fields(Fields& f) { conv_fields(f, *this); }
void ConvTranspose3dOptions::fields(Fields& f) { conv_fields(f, *this); }

template class ConvLayerWith<Conv3dOptions>;
template class ConvLayerWith<ScaledWSConv3dOptions>;
template class ConvLayerWith<ConvTranspose3dOptions>;

}  // namespace vg
