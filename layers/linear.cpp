#include "voxgrad/layers/linear.hpp"

#include <utility>

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/input_check.hpp"

namespace vg {

void LinearOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("out_features", out_features, at_least(1));
  required_initializer(f, "w_init", w_init);
  f("b_init", b_init);
  mask_field(f, "w_mask", w_mask);
  f("name", name);
}

Linear::Linear(LinearOptions options) : LayerWith(std::move(options)) { start(); }

void Linear::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, in_size.size());
  const Shape shape{in_size.back(), options_.out_features};
  Tensor mask, bias;
  if (options_.w_mask) mask = make_broadcast(where(), "w_mask", options_.w_mask, shape);
  const Tensor w = make_parameter(where(), "w_init", options_.w_init, shape);
  if (options_.b_init) bias = make_broadcast(where(), "b_init", options_.b_init, {options_.out_features}, w.dtype());

  weight.add("weight", w);
  if (bias.defined()) weight.add("bias", bias);
  mask_ = mask;
  options_.w_init = options_.w_init.used();
  options_.b_init = options_.b_init.used();
  if (mask.defined()) options_.w_mask = options_.w_mask.holding(mask);
  Size out = in_size;
  out.back() = options_.out_features;
  set_sizes(in_size, out);
}

Variable Linear::update(Variable x) {
  require_trailing(x);
  Variable w = weight["weight"];
  if (x.dtype() != w.dtype()) detail::refuse_dtype(where(), x.dtype(), w.dtype());
  if (mask_.defined()) w = w * Variable(mask_.to(w.dtype()));
  Variable y = matmul(x.rank() == 2 ? x : reshape(x, {x.numel() / x.dim(-1), x.dim(-1)}), w);
  if (weight.has("bias")) y = y + weight["bias"];
  if (x.rank() == 2) return y;
  std::vector<std::int64_t> shape = x.shape().vec();
  shape.back() = options_.out_features;
  return reshape(y, shape);
}

}  // namespace vg
