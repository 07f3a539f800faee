// Mistakes with layers and inputs.
#include <voxgrad/xtensor.hpp>

#include "support/mistakes.hpp"

using namespace vg;
using namespace vg::test;

const std::vector<Mistake> vg::test::layer_mistakes{
    {"no kernel size",
     [] {
       Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4});
     },
     {"[Conv3d]", "kernel_size"}},
    {"no output channels",
     [] {
       Conv3d({.in_size = {8, 8, 8, 1}, .kernel_size = 3});
     },
     {"[Conv3d]", "out_channels"}},
    {"a batch axis in in_size",
     [] {
       Conv3d({.in_size = {2, 8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3});
     },
     {"[Conv3d] in_size", "(H, W, D, C)"}},
    {"no channel axis in in_size",
     [] {
       Conv3d({.in_size = {8, 8, 8}, .out_channels = 4, .kernel_size = 3});
     },
     {"[Conv3d] in_size"}},
    {"a stride of 0",
     [] {
       Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3, .stride = 0});
     },
     {"stride", "0", "at least 1"}},
    {"a misspelt padding",
     [] {
       Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3, .padding = "SAEM"});
     },
     {"padding", "SAEM", "SAME", "VALID"}},
    {"groups that do not divide the channels",
     [] {
       Conv3d({.in_size = {8, 8, 8, 3}, .out_channels = 4, .kernel_size = 3, .groups = 2});
     },
     {"groups", "2", "3"}},
    {"input dilation with SAME",
     [] {
       Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3, .lhs_dilation = 2});
     },
     {"lhs_dilation", "padding"}},
    {"padding that crops all",
     [] {
       Conv3d({.in_size = {4, 4, 4, 1}, .out_channels = 1, .kernel_size = 1, .padding = -3})(ones({1, 4, 4, 4, 1}));
     },
     {"padding", "(-3, -3)", "crop"}},
    {"a layer without sizes",
     [] {
       Conv3d({.out_channels = 4, .kernel_size = 3})(ones({1, 8, 8, 8, 1}));
     },
     {"in_size", "not given", "Sequential"}},
    {"layers that do not fit",
     [] { Sequential(Linear({.in_size = {8}, .out_features = 4}), Linear({.in_size = {5}, .out_features = 2})); },
     {"in_size", "4", "5"}},
    {"an empty net", [] { Sequential()(ones({1})); }, {"[Sequential]", "no modules"}},
    {"GroupNorm with its default groups on few channels",
     [] {
       Sequential(Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 8, .kernel_size = 3}), GroupNorm());
     },
     {"num_groups", "32", "8"}},
    {"dropout that keeps nothing", [] { Dropout({.keep_prob = 0}); }, {"keep_prob", "0", "(0, 1]"}},
    {"a pool without a kernel", [] { MaxPool3d({}); }, {"kernel_size"}},
    {"a pool of even strides over SAME and VALID",
     [] { MaxPool3d({.kernel_size = 2, .padding = "HALF"}); },
     {"padding", "HALF"}},
    {"an unknown way to resample", [] { Upsample({.mode = "cubic"}); }, {"mode", "cubic", "trilinear"}},
    {"a factor for nearest",
     [] {
       Upsample({.scale_factor = {1.5, 2, 2}});
     },
     {"scale_factor", "trilinear"}},
    {"an unknown way to join", [] { Branches({.join = "cat"}, Identity(), Identity()); }, {"join", "cat", "concat"}},
    {"branches of different shapes",
     [] {
       Branches b({}, Identity(), Conv3d({.in_size = {4, 4, 4, 2}, .out_channels = 3, .kernel_size = 3}));
       b(ones({1, 4, 4, 4, 2}));
     },
     {"branch", "3"}},
    {"axes to flatten that end before they start",
     [] {
       Flatten({.start_axis = 2, .end_axis = 1, .in_size = {2, 2, 2, 1}});
     },
     {"[Flatten]", "axis"}},
    {"an initializer of another shape",
     [] {
       Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3, .w_init = Tensor::ones({3, 3, 3, 4})});
     },
     {"(3, 3, 3, 4)", "(3, 3, 3, 1, 4)"}},
    {"another layer type than is there",
     [] {
       Sequential net = small_net();
       net.get<Linear>(0);
     },
     {"module 0", "Conv3d"}},
    {"a layer that is not there", [] { small_net().at(9); }, {"module", "9", "5"}},
};

const std::vector<Mistake> vg::test::input_mistakes{
    {"channels first",
     [] {
       small_net()(ones({2, 1, 8, 8, 8}));
     },
     {"(2, 1, 8, 8, 8)", "channels-first", "transpose"}},
    {"another size",
     [] {
       small_net()(ones({2, 9, 9, 9, 1}));
     },
     {"(2, 9, 9, 9, 1)", "(8, 8, 8, 1)"}},
    {"another number of channels",
     [] {
       small_net()(ones({2, 8, 8, 8, 3}));
     },
     {"(2, 8, 8, 8, 3)", "(8, 8, 8, 1)"}},
    {"f64 data for an f32 model",
     [] {
       small_net()(ones({2, 8, 8, 8, 1}, f64));
     },
     {"f64", "f32", "x.to(vg::f32)", "model.to("}},
    {"whole numbers as input",
     [] {
       small_net()(ones({2, 8, 8, 8, 1}, i32));
     },
     {"i32", "x.to(vg::f32)"}},
    {"an undefined variable", [] { relu(Variable()); }, {"undefined"}},
    {"an undefined tensor", [] { Tensor().data<float>(); }, {"[Tensor]", "undefined"}},
    {"the wrong type of a tensor's data", [] { Tensor::ones({2}).data<double>(); }, {"got T = f64", "holds f32"}},
    {"item() of several elements", [] { Tensor::ones({2}).item(); }, {"item()", "(2,)"}},
    {"values that do not fill a shape",
     [] {
       Tensor::of<float>({2, 3}, {1, 2});
     },
     {"got 2 values", "(2, 3) needs 6"}},
    {"a reshape of another size",
     [] {
       reshape(ones({2, 3}), {4, 2});
     },
     {"[reshape]", "(4, 2)", "6"}},
    {"two extents to infer",
     [] {
       reshape(ones({2, 3}), {-1, -1});
     },
     {"more than one -1"}},
    {"shapes that do not broadcast",
     [] {
       ones({2, 3}) + ones({2, 4});
     },
     {"[add]", "(2, 3)", "(2, 4)"}},
    {"two dtypes", [] { ones({2}) + ones({2}, f64); }, {"[add]", "f32", "f64"}},
    {"a matrix product that does not fit",
     [] {
       matmul(ones({2, 3}), ones({2, 3}));
     },
     {"[matmul]", "3", "2"}},
    {"an axis that is not there",
     [] {
       sum(ones({2, 3}), {2});
     },
     {"[sum]", "axis", "2"}},
    {"an axis twice",
     [] {
       sum(ones({2, 3}), {0, -2});
     },
     {"[sum]", "twice"}},
    {"parts that do not fit together",
     [] {
       concat({ones({2, 3}), ones({3, 3})}, 1);
     },
     {"[concat]", "number 1", "(3, 3)"}},
    {"nothing to concatenate", [] { concat({}, 0); }, {"[concat]", "none"}},
    {"an index out of range",
     [] { gather(ones({3}), Tensor::of<std::int32_t>({1}, {3}), 0); },
     {"[gather]", "got 3", "[-3, 3)"}},
    {"a negative extent",
     [] {
       Tensor::ones({2, -1});
     },
     {"-1"}},
    {"an extent of 2^62 elements",
     [] {
       Tensor({std::int64_t{1} << 40, std::int64_t{1} << 40});
     },
     {"2^63"}},
    {"an axis for squeeze that is not 1",
     [] {
       squeeze(ones({2, 3}), 0);
     },
     {"[squeeze]", "must be 1"}},
    {"axes of transpose that lack one",
     [] {
       transpose(ones({2, 3}), {0});
     },
     {"[transpose]", "1 entries", "2"}},
    {"an array of another shape",
     [] {
       Tensor t({2, 3});
       t.array<float>() = Tensor::ones({3, 2}).array<float>();
     },
     {"(3, 2)", "(2, 3)"}},
};

TEST_CASE("mistakes: layers", "[mistakes]") { check(layer_mistakes); }
TEST_CASE("mistakes: inputs", "[mistakes]") { check(input_mistakes); }
