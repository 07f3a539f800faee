#include "voxgrad/layers/pool.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

void PoolLayer3d::start(const TripleArg& kernel_size, const TripleArg& stride, const Size& in_size) {
  kernel_ = kernel_size.checked(where(), "kernel_size");
  stride_ = stride.given() ? stride.checked(where(), "stride") : kernel_;
  padding_.check(where());
  if (padding_.mode() == Padding::Mode::explicit_pads) {
    const auto pads = padding_.explicit_pads();
    for (std::size_t i = 0; i < 3; ++i)
      if (pads[i].first < 0 || pads[i].second < 0 || pads[i].first >= kernel_[i] || pads[i].second >= kernel_[i])
        throw ValueError(fmt::format("[{}] padding: got ({}, {}) for axis {}; must be in [0, kernel_size = {})",
                                     where(), pads[i].first, pads[i].second, i, kernel_[i]));
  }
  if (!in_size.empty()) build(in_size);
}

Pool3dArgs PoolLayer3d::args_for(const Triple& in) const {
  return {.kernel_size = kernel_, .stride = stride_, .padding = padding_.resolve(in, kernel_, stride_)};
}

Triple PoolLayer3d::checked_out(const Triple& in) const {
  Triple out{};
  Triple assumed = in;
  std::replace(assumed.begin(), assumed.end(), dynamic, std::int64_t{1} << 31);
  const Pool3dArgs args = args_for(assumed);
  for (std::size_t i = 0; i < 3; ++i) {
    if (assumed[i] > std::int64_t{1} << 31)
      throw ValueError(fmt::format("[{}] input: got spatial extents ({}); every one must be below 2^31", where(),
                                   fmt::join(in, ", ")));
    const std::int64_t room = assumed[i] + args.padding[i].first + args.padding[i].second - kernel_[i];
    if (room < 0)
      throw ValueError(
          fmt::format("[{}] output: would be empty for an input of {}; the padded input must hold the kernel, ({})",
                      where(), size_text({in.begin(), in.end()}), fmt::join(kernel_, ", ")));
    out[i] = in[i] == dynamic ? dynamic : room / stride_[i] + 1;
  }
  return out;
}

void PoolLayer3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  const Triple out = checked_out({in_size[0], in_size[1], in_size[2]});
  set_sizes(in_size, {out[0], out[1], out[2], in_size[3]});
}

Variable PoolLayer3d::update(Variable x) {
  const bool batch = is_batch_of_volumes(x);
  Variable v = batch ? std::move(x) : detail::with_batch(x);
  const Triple in{v.dim(1), v.dim(2), v.dim(3)};
  checked_out(in);
  const Variable y = pool(std::move(v), args_for(in));
  return batch ? y : detail::without_batch(y);
}

Attributes PoolLayer3d::options() const {
  return {{"kernel_size", detail::list(kernel_)},
          {"stride", detail::list(stride_)},
          {"padding", padding_.describe()},
          {"in_size", in_size()},
          {"name", name()}};
}

MaxPool3d::MaxPool3d(MaxPool3dOptions o) : PoolLayer3d(std::move(o.name), std::move(o.padding)) {
  start(o.kernel_size, o.stride, o.in_size);
}
AvgPool3d::AvgPool3d(AvgPool3dOptions o) : PoolLayer3d(std::move(o.name), std::move(o.padding)) {
  start(o.kernel_size, o.stride, o.in_size);
}

GlobalAvgPool3d::GlobalAvgPool3d(GlobalAvgPool3dOptions o) : Layer(std::move(o.name)) {
  if (!o.in_size.empty()) build(o.in_size);
}

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
