// Rows for elementwise ops, reductions, shape ops and matrix products.
#include "support/op_cases/op_cases.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg::test {

namespace {

using In = const std::vector<Variable>&;

const Tensor mask = Tensor::of<std::int32_t>({2, 3}, {1, 0, 0, 1, 1, 0});
const Tensor picks = Tensor::of<std::int32_t>({2, 2}, {2, 0, -1, 2});

const bool binary = add_op_cases({
    {"add", "", [](In v) { return add(v[0], v[1]); }, {{2, 3}, {2, 3}}},
    {"add", "channels", [](In v) { return v[0] + v[1]; }, {{2, 3, 4}, {4}}},
    {"add", "both broadcast", [](In v) { return v[0] + v[1]; }, {{3, 1, 2}, {4, 1}}},
    {"add", "a number", [](In v) { return 1.5 + v[0] - 0.5; }, {{2, 3}}},
    {"sub", "", [](In v) { return v[0] - v[1]; }, {{2, 3}, {3}}},
    {"sub", "from a number", [](In v) { return 2.0 - v[0]; }, {{2, 3}}},
    {"mul", "", [](In v) { return v[0] * v[1]; }, {{2, 3}, {2, 3}}},
    {"mul", "channels", [](In v) { return v[1] * v[0]; }, {{2, 3, 4}, {4}}},
    {"mul", "itself", [](In v) { return v[0] * v[0] * v[0]; }, {{5}}},
    {"mul", "a number", [](In v) { return v[0] * 1.5; }, {{2, 3}}},
    {"div", "", [](In v) { return v[0] / v[1]; }, {{2, 3}, {2, 1}}, 0.5, 2},
    {"div", "numbers", [](In v) { return 2.0 / v[0] + v[0] / 3.0; }, {{2, 3}}, 0.5, 2},
    {"pow", "a square", [](In v) { return pow(v[0], 2.0); }, {{6}}},
    {"pow", "a cube", [](In v) { return pow(v[0], 3.0); }, {{6}}},
    {"pow", "a root", [](In v) { return pow(v[0], -0.5); }, {{6}}, 0.5, 2},
    {"pow", "nothing", [](In v) { return pow(v[0], 0.0) + pow(v[0], 1.0); }, {{6}}},
    {"pow", "two variables", [](In v) { return pow(v[0], v[1]); }, {{2, 3}, {3}}, 0.5, 2},
    {"maximum", "", [](In v) { return maximum(v[0], v[1]); }, {{2, 3}, {3}}},
    {"minimum", "", [](In v) { return minimum(v[0], v[1]); }, {{2, 3}, {2, 1}}},
    {"where", "", [](In v) { return where(mask, v[0], v[1]); }, {{2, 3}, {3}}},
    {"cast", "there and back", [](In v) { return cast(cast(v[0], f64), f64); }, {{2, 3}}},
});

const bool unary = add_op_cases({
    {"neg", "", [](In v) { return -v[0]; }, {{5}}},
    {"abs", "", [](In v) { return abs(v[0]); }, {{5}}},
    {"sign", "", [](In v) { return sign(v[0]); }, {{5}}},
    {"square", "", [](In v) { return square(v[0]); }, {{5}}},
    {"sqrt", "", [](In v) { return sqrt(v[0]); }, {{5}}, 0.5, 2},
    {"rsqrt", "", [](In v) { return rsqrt(v[0]); }, {{5}}, 0.5, 2},
    {"exp", "", [](In v) { return exp(v[0]); }, {{5}}},
    {"expm1", "", [](In v) { return expm1(v[0]); }, {{5}}},
    {"log", "", [](In v) { return log(v[0]); }, {{5}}, 0.5, 2},
    {"log1p", "", [](In v) { return log1p(v[0]); }, {{5}}, -0.5, 2},
    {"sin", "", [](In v) { return sin(v[0]); }, {{5}}},
    {"cos", "", [](In v) { return cos(v[0]); }, {{5}}},
    {"tanh", "", [](In v) { return tanh(v[0]); }, {{5}}},
    {"erf", "", [](In v) { return erf(v[0]); }, {{5}}},
    {"sigmoid", "", [](In v) { return sigmoid(v[0]); }, {{8}}, -6, 6},
    {"softplus", "", [](In v) { return softplus(v[0]); }, {{8}}, -6, 6},
    {"relu", "", [](In v) { return relu(v[0]); }, {{7}}},
    {"leaky_relu", "", [](In v) { return leaky_relu(v[0], 0.2); }, {{7}}},
    {"gelu", "tanh", [](In v) { return gelu(v[0], true); }, {{8}}, -4, 4},
    {"gelu", "erf", [](In v) { return gelu(v[0]); }, {{8}}, -4, 4},
    {"silu", "", [](In v) { return silu(v[0]); }, {{8}}, -6, 6},
    {"clip", "", [](In v) { return clip(v[0], -0.9, 1.1); }, {{8}}},
});

const bool reductions = add_op_cases({
    {"sum", "all", [](In v) { return sum(v[0]); }, {{2, 3, 2}}},
    {"sum",
     "leading",
     [](In v) {
       return sum(v[0], {0, 1});
     },
     {{2, 3, 2}}},
    {"sum",
     "outer and inner",
     [](In v) {
       return sum(v[0], {0, -1}, true);
     },
     {{2, 3, 2}}},
    {"mean", "", [](In v) { return mean(v[0], {1}); }, {{2, 3, 2}}},
    {"max",
     "",
     [](In v) {
       return max(v[0], {0, 2});
     },
     {{2, 3, 2}}},
    {"min", "", [](In v) { return min(v[0], {1}, true); }, {{2, 3, 2}}},
    {"logsumexp", "", [](In v) { return logsumexp(v[0], {-1}); }, {{2, 4}}},
    {"var", "", [](In v) { return var(v[0], {0}); }, {{4, 3}}},
    {"sum_to",
     "",
     [](In v) {
       return sum_to(v[0], {3, 1});
     },
     {{2, 3, 2}}},
});

const bool shapes = add_op_cases({
    {"reshape",
     "",
     [](In v) {
       return reshape(v[0], {3, -1});
     },
     {{2, 3, 2}}},
    {"transpose",
     "",
     [](In v) {
       return transpose(v[0], {2, 0, 1});
     },
     {{2, 3, 4}}},
    {"transpose", "reversed", [](In v) { return transpose(v[0]); }, {{2, 3}}},
    {"broadcast_to",
     "",
     [](In v) {
       return broadcast_to(v[0], {2, 3, 4});
     },
     {{3, 1}}},
    {"expand_dims", "", [](In v) { return expand_dims(v[0], -1); }, {{2, 3}}},
    {"squeeze", "", [](In v) { return squeeze(v[0], 1); }, {{2, 1, 3}}},
    {"concat",
     "",
     [](In v) {
       return concat({v[0], v[1], v[0]}, 1);
     },
     {{2, 1, 3}, {2, 2, 3}}},
    {"slice",
     "steps",
     [](In v) {
       return slice(v[0], {{1, INT64_MAX, 2}, {-3, -1, 1}});
     },
     {{5, 4}}},
    {"slice", "one axis", [](In v) { return slice(v[0], 1, {.start = 1, .stop = 3}); }, {{2, 4}}},
    {"pad",
     "",
     [](In v) {
       return pad(v[0], {{1, 2}, {-1, 1}}, 0.5);
     },
     {{2, 3}}},
    {"gather", "", [](In v) { return gather(v[0], picks, 1); }, {{2, 3, 2}}},
    {"scatter_add", "", [](In v) { return scatter_add(v[0], picks, 1, 3); }, {{2, 2, 2, 2}}},
    {"flip",
     "",
     [](In v) {
       return flip(v[0], {0, -1});
     },
     {{2, 3, 2}}},
    {"roll",
     "",
     [](In v) {
       return roll(v[0], {1, -4}, {0, 1});
     },
     {{2, 3}}},
});

const bool products = add_op_cases({
    {"matmul", "", [](In v) { return matmul(v[0], v[1]); }, {{2, 3}, {3, 4}}},
    {"matmul", "one matrix for a stack", [](In v) { return matmul(v[0], v[1]); }, {{2, 2, 3}, {3, 2}}},
    {"matmul", "stacks that broadcast", [](In v) { return matmul(v[0], v[1]); }, {{2, 1, 2, 3}, {3, 3, 2}}},
});

}  // namespace

}  // namespace vg::test
