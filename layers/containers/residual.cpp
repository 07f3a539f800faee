#include "voxgrad/layers/containers/residual.hpp"

#include <utility>

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/layers/conv/conv3d.hpp"
#include "voxgrad/layers/registry/by_name.hpp"

namespace vg {

namespace {

constexpr Range widths = within(1, 2147483647);  // the product of two is below 2^63

// The list of the options of both blocks, of those that O has.
template <class O>
void residual_fields(Fields& f, O& o) {
  f("in_size", o.in_size);
  if constexpr (requires { o.out_channels; }) {
    f("out_channels", o.out_channels, at_least(1));
  } else {
    f("channels", o.channels, widths);
    f("expansion", o.expansion, widths);
  }
  f("stride", o.stride);
  f("norm", o.norm);
  f("num_groups", o.num_groups);
  f("activation", o.activation);
  required_initializer(f, "w_init", o.w_init);
  f("name", o.name);
  if (!f.checking()) return;
  norm_by_name(f.where(), o.norm, o.num_groups);  // throw unless the names are known
  activation_by_name(f.where(), o.activation);
}

}  // namespace

void ResidualBlock3dOptions::fields(Fields& f) { residual_fields(f, *this); }
void BottleneckBlock3dOptions::fields(Fields& f) { residual_fields(f, *this); }

template <class O>
std::shared_ptr<Module> ResidualLayer3d<O>::make_activation() const {
  return activation_by_name(this->where(), this->options_.activation);
}

template <class O>
void ResidualLayer3d<O>::add_conv(Sequential& net, std::int64_t channels, std::int64_t kernel_size,
                                  const TripleArg& stride) const {
  const O& o = this->options_;
  net.push_back(Conv3d({.out_channels = channels,
                        .kernel_size = kernel_size,
                        .stride = stride,
                        .padding = kernel_size / 2,  // as in PyTorch: the same on both sides for any stride
                        .w_init = o.w_init}));
  net.push_back(norm_by_name(this->where(), o.norm, o.num_groups));
}

template <class O>
void ResidualLayer3d<O>::build(const Size& in_size) {
  if (this->built()) return this->require_same(in_size);
  check_size(this->where(), in_size, 4);
  Sequential made = make_main();
  made.build(in_size);
  std::optional<Sequential> beside;
  if (const TripleArg& stride = this->options_.stride;
      in_size.back() != out_channels() || stride.values() != Triple{1, 1, 1}) {
    beside.emplace();
    add_conv(*beside, out_channels(), 1, stride);
    beside->build(in_size);
  }
  this->set_sizes(in_size, made.out_size());
  main.emplace(std::move(made));
  if (beside) shortcut.emplace(std::move(*beside));
  if (this->training()) this->train();  // also put the new modules into training mode
}

template <class O>
Variable ResidualLayer3d<O>::update(Variable x) {
  this->require_built();
  const Variable y = (*main)(x);
  return (*activation)(y + (shortcut ? (*shortcut)(x) : x));
}

template <class O>
void ResidualLayer3d<O>::visit(Visitor& v) {
  v("main", main);
  v("shortcut", shortcut);
  v("activation", activation);
}

template class ResidualLayer3d<ResidualBlock3dOptions>;
template class ResidualLayer3d<BottleneckBlock3dOptions>;

ResidualBlock3d::ResidualBlock3d(ResidualBlock3dOptions options) : ResidualLayer3d(std::move(options)) {
  start();
  activation = make_activation();
}

Sequential ResidualBlock3d::make_main() const {
  Sequential net;
  add_conv(net, out_channels(), 3, options_.stride);
  net.push_back(make_activation());
  add_conv(net, out_channels(), 3, 1);
  return net;
}

BottleneckBlock3d::BottleneckBlock3d(BottleneckBlock3dOptions options) : ResidualLayer3d(std::move(options)) {
  start();
  activation = make_activation();
}

Sequential BottleneckBlock3d::make_main() const {
  Sequential net;
  add_conv(net, options_.channels, 1, 1);
  net.push_back(make_activation());
  add_conv(net, options_.channels, 3, options_.stride);
  net.push_back(make_activation());
  add_conv(net, out_channels(), 1, 1);
  return net;
}

}  // namespace vg
