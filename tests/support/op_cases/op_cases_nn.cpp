// Rows for convolutions, pools, normalisations, losses and dropout.
#include "support/op_cases/op_cases.hpp"
#include "voxgrad/framework/ops/bias.hpp"
#include "voxgrad/framework/ops/conv3d.hpp"
#include "voxgrad/framework/ops/dropout.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/loss.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/framework/ops/pool3d.hpp"

namespace vg::test {

namespace {

using In = const std::vector<Variable>&;

const Conv3dArgs plain{};
const Conv3dArgs strided{.stride = {2, 1, 2}, .padding = {{{1, 0}, {1, 1}, {0, 2}}}};
const Conv3dArgs dilated{
    .stride = {1, 2, 1}, .padding = {{{2, 1}, {1, 2}, {2, 2}}}, .lhs_dilation = {2, 1, 3}, .rhs_dilation = {1, 2, 2}};
const Conv3dArgs cropped{.padding = {{{-1, 0}, {0, -1}, {-1, -1}}}};
const Conv3dArgs grouped{.stride = {1, 2, 1}, .padding = {{{1, 1}, {0, 1}, {1, 0}}}, .groups = 2};

const bool convolutions = add_op_cases({
    {"conv3d", "", [](In v) { return conv3d(v[0], v[1], plain); }, {{1, 3, 3, 2, 2}, {2, 2, 1, 2, 2}}},
    {"conv3d", "strided", [](In v) { return conv3d(v[0], v[1], strided); }, {{2, 3, 2, 3, 1}, {2, 3, 2, 1, 2}}},
    {"conv3d", "dilated", [](In v) { return conv3d(v[0], v[1], dilated); }, {{1, 2, 3, 2, 2}, {2, 2, 2, 2, 1}}},
    {"conv3d", "cropped", [](In v) { return conv3d(v[0], v[1], cropped); }, {{1, 3, 3, 4, 1}, {2, 1, 2, 1, 2}}},
    {"conv3d", "groups", [](In v) { return conv3d(v[0], v[1], grouped); }, {{1, 2, 3, 2, 4}, {2, 2, 2, 2, 4}}},
    {"conv3d", "both operands one variable", [](In v) { return conv3d(v[0], v[0], plain); }, {{2, 2, 2, 2, 2}}},
    {"conv3d_grad_input",
     "",
     [](In v) {
       return conv3d_grad_input(v[0], v[1], {3, 3, 2}, plain);
     },
     {{1, 2, 2, 2, 2}, {2, 2, 1, 1, 2}}},
    {"conv3d_grad_input",
     "strided",
     [](In v) {
       return conv3d_grad_input(v[0], v[1], {3, 2, 3}, strided);
     },
     {{1, 2, 2, 2, 2}, {2, 3, 2, 1, 2}}},
    {"conv3d_grad_input",
     "groups",
     [](In v) {
       return conv3d_grad_input(v[0], v[1], {2, 3, 2}, grouped);
     },
     {{1, 3, 2, 2, 2}, {2, 2, 2, 1, 2}}},
    {"conv3d_grad_weight",
     "",
     [](In v) {
       return conv3d_grad_weight(v[0], v[1], {2, 2, 1}, plain);
     },
     {{1, 3, 3, 2, 2}, {1, 2, 2, 2, 2}}},
    {"conv3d_grad_weight",
     "strided",
     [](In v) {
       return conv3d_grad_weight(v[0], v[1], {2, 3, 2}, strided);
     },
     {{2, 3, 2, 3, 1}, {2, 2, 2, 2, 2}}},
    {"conv3d_grad_weight",
     "groups",
     [](In v) {
       return conv3d_grad_weight(v[0], v[1], {2, 2, 2}, grouped);
     },
     {{1, 2, 3, 2, 2}, {1, 3, 2, 2, 2}}},
    {"conv_transpose3d",
     "",
     [](In v) {
       return conv_transpose3d(v[0], v[1], {.stride = {2, 1, 3}, .padding = {{{1, 2}, {0, 1}, {2, 1}}}});
     },
     {{1, 2, 2, 2, 2}, {2, 2, 3, 1, 2}}},
    {"conv_transpose3d",
     "groups and dilation",
     [](In v) {
       return conv_transpose3d(
           v[0], v[1],
           {.stride = {1, 2, 1}, .padding = {{{1, 1}, {3, 2}, {0, 0}}}, .rhs_dilation = {1, 2, 1}, .groups = 2});
     },
     {{1, 2, 2, 2, 4}, {2, 2, 1, 2, 2}}},
});

const Pool3dArgs overlapping{{3, 2, 2}, {2, 1, 1}, {{{1, 2}, {0, 1}, {1, 0}}}};

const bool pools = add_op_cases({
    {"max_pool3d", "", [](In v) { return max_pool3d(v[0], {}); }, {{1, 4, 2, 4, 2}}},
    {"max_pool3d", "overlapping", [](In v) { return max_pool3d(v[0], overlapping); }, {{2, 4, 3, 3, 1}}},
    {"max_pool3d", "of a square", [](In v) { return max_pool3d(v[0] * v[0], overlapping); }, {{1, 3, 2, 3, 2}}},
    {"avg_pool3d", "", [](In v) { return avg_pool3d(v[0], {}); }, {{1, 4, 2, 3, 2}}},
    {"avg_pool3d", "overlapping", [](In v) { return avg_pool3d(v[0], overlapping); }, {{2, 4, 3, 3, 1}}},
    {"global_avg_pool3d", "", [](In v) { return global_avg_pool3d(v[0]); }, {{2, 2, 3, 2, 2}}},
    {"upsample_nearest3d",
     "",
     [](In v) {
       return upsample_nearest3d(v[0], {2, 1, 3});
     },
     {{2, 2, 2, 1, 2}}},
    {"dropout", "", [](In v) { return dropout(v[0], 0.6, random::key_of(3)); }, {{3, 5}}},
    {"dropout", "of a square", [](In v) { return dropout(v[0] * v[0], 0.6, random::key_of(3)); }, {{3, 5}}},
});

const Variable none;
const Tensor mean3 = Tensor::of<double>({3}, {0.3, -0.2, 1}), var3 = Tensor::of<double>({3}, {0.7, 1.2, 2});

const bool norms = add_op_cases({
    {"softmax", "", [](In v) { return softmax(v[0]); }, {{3, 4}}},
    {"softmax", "a middle axis", [](In v) { return softmax(v[0], 1); }, {{2, 3, 2}}},
    {"log_softmax", "", [](In v) { return log_softmax(v[0]); }, {{3, 4}}},
    {"log_softmax", "the first axis", [](In v) { return log_softmax(v[0], 0); }, {{3, 2, 2}}},
    {"group_norm", "", [](In v) { return group_norm(v[0], 2, v[1], v[2], 1e-3); }, {{2, 2, 2, 1, 4}, {4}, {4}}},
    {"group_norm", "instances, no scale", [](In v) { return group_norm(v[0], 3, none, v[1], 1e-3); }, {{2, 4, 3}, {3}}},
    {"group_norm", "no bias", [](In v) { return group_norm(v[0], 1, v[1], none, 1e-3); }, {{2, 2, 3}, {3}}},
    {"group_norm", "bare", [](In v) { return group_norm(v[0], 1, none, none, 1e-3); }, {{1, 3, 2}}},
    {"bias_add", "", [](In v) { return bias_add(v[0], v[1]); }, {{2, 3, 4}, {1, 1, 4}}},
    // lazy ops that fuse with the next op
    {"bias_add", "relu", [](In v) { return relu(bias_add(v[0], v[1])); }, {{2, 3, 4}, {4}}},
    {"bias_add", "leaky_relu", [](In v) { return leaky_relu(bias_add(v[0], v[1]), 0.2); }, {{2, 3, 4}, {4}}},
    {"group_norm",
     "bias before, relu",
     [](In v) { return relu(group_norm(bias_add(v[0], v[3]), 2, v[1], v[2], 1e-3)); },
     {{2, 2, 2, 1, 4}, {4}, {4}, {4}}},
    {"group_norm",
     "sum, leaky_relu",
     [](In v) { return leaky_relu(v[1] + group_norm(v[0], 3, none, v[2], 1e-3), 0.2); },
     {{2, 4, 3}, {2, 4, 3}, {3}}},
    {"group_norm",
     "sum",
     [](In v) { return group_norm(v[0], 1, v[2], none, 1e-3) + v[1]; },
     {{2, 4, 2}, {2, 4, 2}, {2}}},
    {"batch_norm",
     "bias before, sum, relu",
     [](In v) { return relu(batch_norm(bias_add(v[0], v[1]), v[2], v[3], 1e-3).output + v[4]); },
     {{2, 2, 3}, {3}, {3}, {3}, {2, 2, 3}}},
    {"normalize",
     "bias before, sum, relu",
     [](In v) { return relu(normalize(bias_add(v[0], v[1]), mean3, var3, v[2], v[3], 1e-3) + v[4]); },
     {{2, 2, 3}, {3}, {3}, {3}, {2, 2, 3}}},
    {"layer_norm", "", [](In v) { return layer_norm(v[0], 1, v[1], v[2], 1e-3); }, {{2, 2, 4}, {4}, {4}}},
    {"layer_norm", "two axes", [](In v) { return layer_norm(v[0], 2, v[1], v[2], 1e-3); }, {{2, 2, 3}, {2, 3}, {2, 3}}},
    {"layer_norm", "bare", [](In v) { return layer_norm(v[0], 2, none, none, 1e-3); }, {{2, 5}}},
    {"batch_norm", "", [](In v) { return batch_norm(v[0], v[1], v[2], 1e-3).output; }, {{2, 2, 2, 3}, {3}, {3}}},
    {"batch_norm", "bare", [](In v) { return batch_norm(v[0], none, none, 1e-3).output; }, {{4, 3}}},
    {"normalize", "", [](In v) { return normalize(v[0], mean3, var3, v[1], v[2], 1e-3); }, {{2, 2, 3}, {3}, {3}}},
    {"normalize", "bare", [](In v) { return normalize(v[0] * v[0], mean3, var3, none, none, 1e-3); }, {{2, 3}}},
});

const Tensor labels = Tensor::of<std::int32_t>({2, 3}, {0, 2, 1, 2, 2, 0});
const Tensor with_ignored = Tensor::of<std::int32_t>({2, 3}, {0, -1, 1, 2, 2, -1});
const CrossEntropyOptions weighted{.weight = {0.5, 2, 1}, .ignore_index = -1, .label_smoothing = 0.2};

const bool losses = add_op_cases({
    {"cross_entropy", "", [](In v) { return cross_entropy(v[0], labels); }, {{2, 3, 3}}},
    {"cross_entropy",
     "weights, ignored labels, smoothing",
     [](In v) { return cross_entropy(v[0], with_ignored, weighted); },
     {{2, 3, 3}}},
    {"soft_dice_loss", "", [](In v) { return soft_dice_loss(v[0], labels); }, {{2, 3, 3}}},
    {"soft_dice_loss",
     "with background",
     [](In v) { return soft_dice_loss(v[0], labels, {.include_background = true, .eps = 0.1}); },
     {{2, 3, 3}}},
    {"dice_cross_entropy", "", [](In v) { return dice_cross_entropy(v[0], labels); }, {{2, 3, 3}}},
    {"dice_cross_entropy",
     "all options",
     [](In v) { return dice_cross_entropy(v[0], with_ignored, weighted, {.include_background = true}); },
     {{2, 3, 3}}},
    {"focal_loss", "", [](In v) { return focal_loss(v[0], labels); }, {{2, 3, 3}}},
    {"focal_loss",
     "alpha, ignored labels, a gamma between",
     [](In v) {
       return focal_loss(v[0], with_ignored, {.gamma = 1.5, .alpha = {0.5, 2, 1}, .ignore_index = -1});
     },
     {{2, 3, 3}}},
    {"focal_loss", "gamma 1", [](In v) { return focal_loss(v[0], labels, {.gamma = 1}); }, {{2, 3, 3}}},
    {"focal_loss", "gamma 0", [](In v) { return focal_loss(v[0], labels, {.gamma = 0}); }, {{2, 3, 3}}},
    {"sigmoid_focal_loss", "", [](In v) { return sigmoid_focal_loss(v[0], v[1]); }, {{2, 4}, {2, 4}}, 0.1, 0.9},
    {"sigmoid_focal_loss",
     "no alpha",
     [](In v) { return sigmoid_focal_loss(v[0], v[1], -1, 1.5); },
     {{2, 4}, {2, 4}},
     0.1,
     0.9},
    {"tversky_loss", "", [](In v) { return tversky_loss(v[0], labels, {.alpha = 0.3, .beta = 0.7}); }, {{2, 3, 3}}},
    {"tversky_loss",
     "each sample by itself, ignored labels, all classes",
     [](In v) {
       return tversky_loss(v[0], with_ignored,
                           {.alpha = 0.3,
                            .beta = 0.9,
                            .include_background = true,
                            .smooth_nr = 0.2,
                            .smooth_dr = 0.1,
                            .batch = false,
                            .ignore_index = -1});
     },
     {{2, 3, 3}}},
    {"bce_with_logits", "", [](In v) { return bce_with_logits(v[0], v[1]); }, {{2, 4}, {2, 4}}},
    {"bce_with_logits",
     "pos_weight by class",
     [](In v) {
       return bce_with_logits(v[0], v[1], Tensor::of<double>({4}, {0.5, 1, 2, 0}));
     },
     {{2, 4}, {2, 4}}},
    {"bce_with_logits", "pos_weight", [](In v) { return bce_with_logits(v[0], v[1], 2.5); }, {{2, 4}, {2, 4}}},
    {"mse_loss", "", [](In v) { return mse_loss(v[0], v[1]); }, {{2, 4}, {2, 4}}},
    {"l1_loss", "", [](In v) { return l1_loss(v[0], v[1]); }, {{2, 4}, {2, 4}}},
});

}  // namespace

}  // namespace vg::test
