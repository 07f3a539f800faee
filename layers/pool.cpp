#include "voxgrad/layers/pool.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

template <class O>
void pool_fields(Fields& f, O& o) {
  f("kernel_size", o.kernel_size);
  f.if_given("stride", o.stride);
  f("padding", o.padding);
  f("in_size", o.in_size);
  f("name", o.name);
  if (!f.checking() || o.padding.mode() != Padding::Mode::explicit_pads) return;
  const auto pads = o.padding.explicit_pads();
  const Triple kernel = o.kernel_size.values();
  for (std::size_t i = 0; i < 3; ++i)
    if (pads[i].first < 0 || pads[i].second < 0 || pads[i].first >= kernel[i] || pads[i].second >= kernel[i])
      f.refuse("padding", fmt::format("got ({}, {}) for axis {}; must be in [0, kernel_size = {})", pads[i].first,
                                      pads[i].second, i, kernel[i]));
}

}  // namespace

void MaxPool3dOptions::fields(Fields& f) { pool_fields(f, *this); }
void AvgPool3dOptions::fields(Fields& f) { pool_fields(f, *this); }
void GlobalAvgPool3dOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("name", name);
}

template <class O>
PoolLayer3d<O>::PoolLayer3d(O options) : LayerWith<O>(std::move(options)) {
  if (!this->options_.stride.given()) this->options_.stride = this->options_.kernel_size;
}

template <class O>
Pool3dArgs PoolLayer3d<O>::args_for(const Triple& in) const {
  const O& o = this->options_;
  const Triple kernel = o.kernel_size.values(), stride = o.stride.values();
  return {.kernel_size = kernel, .stride = stride, .padding = o.padding.resolve(in, kernel, stride)};
}

template <class O>
Triple PoolLayer3d<O>::checked_out(const Triple& in) const {
  Triple out{};
  Triple assumed = in;
  std::replace(assumed.begin(), assumed.end(), dynamic, std::int64_t{1} << 31);
  const Pool3dArgs args = args_for(assumed);
  for (std::size_t i = 0; i < 3; ++i) {
    if (assumed[i] > std::int64_t{1} << 31)
      throw ValueError(fmt::format("[{}] input: got spatial extents ({}); every one must be below 2^31", this->where(),
                                   fmt::join(in, ", ")));
    const std::int64_t room = assumed[i] + args.padding[i].first + args.padding[i].second - args.kernel_size[i];
    if (room < 0)
      throw ValueError(
          fmt::format("[{}] output: would be empty for an input of {}; the padded input must hold the kernel, ({})",
                      this->where(), size_text({in.begin(), in.end()}), fmt::join(args.kernel_size, ", ")));
    out[i] = in[i] == dynamic ? dynamic : room / args.stride[i] + 1;
  }
  return out;
}

template <class O>
void PoolLayer3d<O>::build(const Size& in_size) {
  if (this->built()) return this->require_same(in_size);
  check_size(this->where(), in_size, 4);
  const Triple out = checked_out({in_size[0], in_size[1], in_size[2]});
  this->set_sizes(in_size, {out[0], out[1], out[2], in_size[3]});
}

template <class O>
Variable PoolLayer3d<O>::update(Variable x) {
  const bool batch = this->is_batch_of_volumes(x);
  Variable v = batch ? std::move(x) : detail::with_batch(x);
  const Triple in{v.dim(1), v.dim(2), v.dim(3)};
  checked_out(in);
  const Variable y = pool(std::move(v), args_for(in));
  return batch ? y : detail::without_batch(y);
}

template class PoolLayer3d<MaxPool3dOptions>;
template class PoolLayer3d<AvgPool3dOptions>;

MaxPool3d::MaxPool3d(MaxPool3dOptions options) : PoolLayer3d(std::move(options)) { start(); }
AvgPool3d::AvgPool3d(AvgPool3dOptions options) : PoolLayer3d(std::move(options)) { start(); }
GlobalAvgPool3d::GlobalAvgPool3d(GlobalAvgPool3dOptions options) : LayerWith(std::move(options)) { start(); }

void GlobalAvgPool3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  set_sizes(in_size, {in_size.back()});
}

Variable GlobalAvgPool3d::update(Variable x) {
  const bool batch = is_batch_of_volumes(x);
  return batch ? global_avg_pool3d(x) : detail::without_batch(global_avg_pool3d(detail::with_batch(x)));
}

}  // namespace vg
