#include "voxgrad/layers/containers/squeeze_excite.hpp"

#include <algorithm>
#include <utility>

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/pool3d.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

void SqueezeExcite3dOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("reduction", reduction, at_least(1));
  f("w_init", w_init);
  f("name", name);
}

SqueezeExcite3d::SqueezeExcite3d(SqueezeExcite3dOptions options) : LayerWith(std::move(options)) { start(); }

void SqueezeExcite3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  const std::int64_t channels = in_size.back(), hidden = std::max<std::int64_t>(1, channels / options_.reduction);
  Linear down({.in_size = {channels}, .out_features = hidden, .w_init = options_.w_init});
  Linear up({.in_size = {hidden}, .out_features = channels, .w_init = options_.w_init});
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

}  // namespace vg
