#include "voxgrad/layers/containers/squeeze_excite.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/pool3d.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

SqueezeExcite3d::SqueezeExcite3d(SqueezeExcite3dOptions o)
    : Layer(std::move(o.name)), reduction_(o.reduction), w_init_(std::move(o.w_init)) {
  if (reduction_ < 1) throw ValueError(fmt::format("[{}] reduction: got {}; must be at least 1", where(), reduction_));
  if (!o.in_size.empty()) build(o.in_size);
}

void SqueezeExcite3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  const std::int64_t channels = in_size.back(), hidden = std::max<std::int64_t>(1, channels / reduction_);
  Linear down({.in_size = {channels}, .out_features = hidden, .w_init = w_init_});
  Linear up({.in_size = {hidden}, .out_features = channels, .w_init = w_init_});
  squeeze.emplace(std::move(down));
  excite.emplace(std::move(up));
  set_sizes(in_size, in_size);
}

Variable SqueezeExcite3d::update(Variable x) {
  const bool batch = has_batch(x);
  const Variable v = batch ? x : detail::with_batch(x);
  const Variable factors = sigmoid((*excite)(relu((*squeeze)(global_avg_pool3d(v)))));
  const Variable y = v * reshape(factors, {v.dim(0), 1, 1, 1, v.dim(4)});
  return batch ? y : detail::without_batch(y);
}

void SqueezeExcite3d::visit(Visitor& v) {
  v("squeeze", squeeze);
  v("excite", excite);
}

Attributes SqueezeExcite3d::options() const {
  return {{"in_size", in_size()}, {"reduction", reduction_}, {"w_init", w_init_.str()}, {"name", name()}};
}

}  // namespace vg
