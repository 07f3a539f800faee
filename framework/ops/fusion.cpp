#include "voxgrad/framework/ops/fusion.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"

namespace vg {

namespace fusion {

namespace {

constexpr Op norms = Op::group_norm | Op::batch_norm | Op::normalize;
constexpr Op activations = Op::relu | Op::leaky_relu;

constexpr Rule table[] = {
    {Op::conv3d, Op::bias_add | Op::normalize, true, "",
     "the epilogue of the convolution does the consumer's work while the outputs are in a cache, and that of an "
     "activation after it if the consumer's value is donated, too; the convolution's own output is not stored"},
    {Op::conv3d, Op::group_norm | Op::batch_norm, false, "",
     "the convolution is materialized, and its epilogue sums the statistics"},
    {Op::bias_add, norms, false, "",
     "the normalisation absorbs the bias: it reads the volume without the bias and shifts its means"},
    {Op::bias_add, activations, false, "the slope is at least 0", "one op, `bias_activation`, in one pass"},
    {Op::bias_add, Op::max_pool3d, true, "", "pooling runs first, and the bias is added to its smaller output"},
    {Op::bias_add, Op::gelu, true, "the exact GELU",
     "one op, `bias_gelu`, with one backward pass for the gradients of the volume and of the bias"},
    {norms, Op::add, false, "the other summand, on either side, has the same shape and dtype",
     "one lazy op, `norm_sum`"},
    {norms | Op::norm_sum, activations, false, "the slope is at least 0", "one op, `norm_activation`, in one pass"},
    {activations, Op::max_pool3d, false,
     "the slope is at least 0; both are layers, adjacent in a `Sequential` that is not observed; fusion is on",
     "pooling runs first"},
    {Op::concat, Op::conv3d, false,
     "`concat` along the last axis; not in bf16; there are at most 4 parts, each with whole vectors of channels; all "
     "three passes choose a Winograd algorithm without groups, strides and the panel loop; `VOXGRAD_TUNE` is not set",
     "the convolution reads the parts in place and writes their gradients in place; the concatenation is not stored"},
};

}  // namespace

std::string_view name_of(Op op) {
  static constexpr std::string_view names[] = {"conv3d",    "concat",     "bias_add",  "group_norm", "batch_norm",
                                               "normalize", "norm_sum",   "add",       "relu",       "leaky_relu",
                                               "gelu",      "max_pool3d", "layer_norm"};
  return names[std::countr_zero(static_cast<unsigned>(op))];
}

std::span<const Rule> rules() { return table; }

const Rule* rule_of(Op producer, Op consumer) {
  const auto* const found = std::find_if(std::begin(table), std::end(table), [&](const Rule& rule) {
    return has(rule.producers, producer) && has(rule.consumers, consumer);
  });
  return found == std::end(table) ? nullptr : found;
}

}  // namespace fusion

namespace detail {

using fusion::Op;

std::shared_ptr<const Lazy> absorbed(const Variable& x, Op consumer, Op producer) {
  auto lazy = std::static_pointer_cast<const Lazy>(lazy_op_of(x));
  if (!lazy || (producer != Op::none && lazy->op != producer)) return nullptr;
  const fusion::Rule* const rule = fusion::rule_of(lazy->op, consumer);
  return rule != nullptr && (!rule->donated || x.unique()) ? lazy : nullptr;
}

namespace {

// g times the activation's slope where its result was y. The slope is a constant of the graph, because it is constant
// almost everywhere.
Variable through_activation(const kernels::Activation& activation, const Tensor& y, const Variable& g) {
  const double below = activation.kind == kernels::Activation::Kind::relu ? 0.0 : activation.slope;
  const Tensor slope = map("activation", y, [below](auto v) {
    using T = decltype(v);
    return v > T(0) ? T(1) : static_cast<T>(below);
  });
  return g * Variable(slope);
}

}  // namespace

Variable fused_activation(const Variable& x, const kernels::Activation& activation) {
  const bool relu = activation.kind == kernels::Activation::Kind::relu;
  const auto lazy = absorbed(x, relu ? Op::relu : Op::leaky_relu);
  if (!lazy) return {};
  Tensor value = lazy->value(*lazy, activation, x.unique());  // before the vjp copies the handle of the map's input
  const bool of_bias = lazy->op == Op::bias_add;
  // with a bias or a residual, the backward pass reads the sign from the result
  const bool saved = of_bias || lazy->map.residual.defined();
  const Variable y = record(of_bias ? "bias_activation" : "norm_activation", std::move(value), lazy->map.inputs(),
                            lazy->vjp(*lazy, activation), saved ? SaveOutput::yes : SaveOutput::no);
  const auto unfused = [activation](const VjpContext& pull) -> Grads {
    return {through_activation(activation, pull.output.value(), pull.grad)};
  };
  const auto unfused_again = [activation, lazy](const VjpContext& pull) -> Grads {
    return {through_activation(activation, lazy->value(*lazy, activation, false), pull.grad)};
  };
  record_unfused(y, "activation", {x}, saved ? Vjp(unfused) : Vjp(unfused_again));
  return y;
}

Variable fused_sum(const Variable& a, const Variable& b) {
  const auto left = absorbed(a, Op::add), lazy = left ? left : absorbed(b, Op::add);
  if (!lazy || a.shape() != b.shape() || a.dtype() != b.dtype()) return {};
  const Variable &norm = left ? a : b, &other = left ? b : a;
  const auto sum = std::make_shared<Lazy>(*lazy);
  sum->op = Op::norm_sum;
  sum->map.residual = other;
  const Variable y = record_lazy(name_of(sum->op), sum, sum->map.inputs(), sum->vjp(*sum, {}));
  record_unfused(y, "add", {norm, other}, [](const VjpContext& pull) -> Grads { return {pull.grad, pull.grad}; });
  return y;
}

}  // namespace detail

}  // namespace vg
