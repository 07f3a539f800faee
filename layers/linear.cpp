#include "voxgrad/layers/linear.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/input_check.hpp"

namespace vg {

Linear::Linear(LinearOptions options)
    : Layer(options.name),
      options_(std::move(options)),
      w_init_(options_.w_init.str()),
      b_init_(options_.b_init.str()),
      w_mask_(options_.w_mask.str()) {
  if (options_.out_features < 1)
    throw ValueError(fmt::format("[{}] out_features: got {}; must be at least 1", where(), options_.out_features));
  if (!options_.w_init)
    throw ValueError(fmt::format("[{}] w_init: got None; must be an initializer or an array", where()));
  if (!options_.in_size.empty()) build(options_.in_size);
}

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
  options_.w_init = options_.b_init = options_.w_mask = std::nullopt;  // also frees the arrays that they may hold
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

Attributes Linear::options() const {
  Attributes values = detail::with({{"in_size", in_size()},
                                    {"out_features", options_.out_features},
                                    {"w_init", w_init_},
                                    {"b_init", b_init_},
                                    {"w_mask", w_mask_}},
                                   mask_options(mask_));
  values.emplace_back("name", name());
  return values;
}

}  // namespace vg
