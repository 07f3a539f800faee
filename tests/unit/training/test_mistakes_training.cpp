// Mistakes with gradients, losses and training.
#include "support/mistakes.hpp"

using namespace vg;
using namespace vg::test;

const std::vector<Mistake> vg::test::gradient_mistakes{
    {"backward of a volume", [] { (trained({2}) * 2.0).backward(); }, {"[backward]", "(2,)", "one element"}},
    {"backward of a constant", [] { sum(ones({2})).backward(); }, {"[backward]", "requires a gradient"}},
    {"backward under NoGradGuard",
     [] {
       Variable x(Tensor::ones({2}), true);
       const NoGradGuard no;
       sum(x * x).backward();
     },
     {"[backward]", "requires a gradient"}},
    {"backward after detach", [] { sum(trained({2}).detach()).backward(); }, {"[backward]", "requires a gradient"}},
    {"backward twice",
     [] {
       const Variable y = sum(square(trained({2})));
       y.backward();
       y.backward();
     },
     {"[backward]", "freed", "retain_graph"}},
    {"a cotangent of another shape", [] { (trained({2}) * 2.0).backward(ones({3})); }, {"cotangent", "(3,)", "(2,)"}},
    {"a gradient with respect to a constant",
     [] {
       const Variable x(Tensor::ones({2}), true), c = ones({2});
       gradients(sum(x * c), {c});
     },
     {"[gradients]", "number 0", "does not require a gradient"}},
    {"a gradient with respect to what was not used",
     [] {
       const Variable x(Tensor::ones({2}), true), z(Tensor::ones({2}), true);
       gradients(sum(x * x), {z});
     },
     {"[gradients]", "number 0", "allow_unused"}},
    {"a gradient of whole numbers", [] { Variable(Tensor::ones({2}, i32), true); }, {"i32", "f32 or f64"}},
    {"a value overwritten before its gradient",
     [] {
       Tensor t = Tensor::ones({2});
       const Variable x(t, true), y = sum(x * x);
       t.data<float>()[0] = 5;
       y.backward();
     },
     {"[mul] backward", "input 0", "written to", "clone()"}},
    {"an op's result changed in place", [] { (trained({2}) * 2.0).mutable_value(); }, {"mutable_value", "op mul"}},
    {"a gradient of another shape",
     [] {
       Variable x = trained({2});
       x.set_grad(ones({3}));
     },
     {"set_grad", "(3,)", "(2,)"}},
    {"a vjp of another shape",
     [] {
       const Variable x(Tensor::ones({2}), true);
       record("mine", Tensor::ones({2}), {x}, [](const VjpContext&) -> Grads {
         return {ones({3})};
       }).backward(ones({2}));
     },
     {"[mine] vjp", "(3,)", "(2,)"}},
    {"a vjp that forgets an input",
     [] {
       const Variable x(Tensor::ones({2}), true);
       record("mine", Tensor::ones({2}), {x, x}, [](const VjpContext& p) -> Grads {
         return {p.grad};
       }).backward(ones({2}));
     },
     {"[mine] vjp", "1 gradients", "2 inputs"}},
    {"a gradient check in f32",
     [] { gradcheck([](const std::vector<Variable>& in) { return sum(in[0]); }, {Tensor::ones({2})}); },
     {"f64"}},
};

const std::vector<Mistake> vg::test::loss_mistakes{
    {"labels as floats",
     [] {
       cross_entropy(ones({2, 3}), Tensor::ones({2}));
     },
     {"[cross_entropy] labels", "f32", "i32"}},
    {"a label that is no class",
     [] {
       cross_entropy(ones({2, 3}), labels({2}, 3));
     },
     {"[cross_entropy] labels", "got 3", "[0, 3)"}},
    {"an ignored label that was not named",
     [] {
       cross_entropy(ones({2, 3}), labels({2}, 255));
     },
     {"got 255", "[0, 3)"}},
    {"one-hot labels",
     [] {
       cross_entropy(ones({2, 3}), labels({2, 3}));
     },
     {"labels", "(2, 3)", "(2,)"}},
    {"logits without classes", [] { cross_entropy(ones({2}), labels({2})); }, {"logits", "(2,)", "classes"}},
    {"weights for other classes",
     [] {
       cross_entropy(ones({2, 3}), labels({2}), {.weight = {1, 2}});
     },
     {"weight", "2 entries", "3 classes"}},
    {"smoothing of more than all",
     [] {
       cross_entropy(ones({2, 3}), labels({2}), {.label_smoothing = 1.5});
     },
     {"label_smoothing", "1.5", "[0, 1)"}},
    {"Dice of one class",
     [] {
       soft_dice_loss(ones({1, 2, 2, 2, 1}), labels({1, 2, 2, 2}));
     },
     {"logits", "include_background"}},
    {"a target of another shape",
     [] {
       mse_loss(ones({2, 3}), ones({2}));
     },
     {"[mse_loss] target", "(2,)", "(2, 3)"}},
    {"a target of whole numbers", [] { bce_with_logits(ones({2}), ones({2}, i32)); }, {"target", "i32", "f32"}},
    {"a weight that is negative",
     [] { bce_with_logits(ones({2}), ones({2}), -1.0); },
     {"pos_weight", "-1", "at least 0"}},
    {"metrics without a number of classes", [] { Metrics({}); }, {"classes", "0"}},
    {"a mean of nothing",
     [] {
       mse_loss(ones({0, 2}), ones({0, 2}));
     },
     {"[mse_loss]", "(0, 2)", "at least one element"}},
    {"batch statistics of one value",
     [] {
       BatchNorm3d norm({.in_size = {1, 1, 1, 2}});
       norm.train();
       norm(ones({1, 1, 1, 1, 2}));
     },
     {"[BatchNorm3d]", "one value"}},
};

const std::vector<Mistake> vg::test::training_mistakes{
    {"nothing to train", [] { Adam(States(), {}); }, {"[Adam]", "parameter"}},
    {"an optimizer made before the model was built",
     [] {
       Conv3d conv({.out_channels = 4, .kernel_size = 3});
       Adam(conv.parameters(), {});
     },
     {"[Adam]", "parameter"}},
    {"a negative rate", [] { Adam(small_net().parameters(), {.lr = -1.0}); }, {"lr", "-1", "at least 0"}},
    {"a beta of 1",
     [] {
       Adam(small_net().parameters(), {.betas = {0.9, 1.0}});
     },
     {"betas", "1", "[0, 1)"}},
    {"momentum that grows", [] { SGD(small_net().parameters(), {.lr = 0.1, .momentum = 1.5}); }, {"momentum", "1.5"}},
    {"a norm to clip to that is negative",
     [] { Adam(small_net().parameters(), {.clip_norm = -1.0}); },
     {"clip_norm", "-1"}},
    {"a schedule without its length", [] { OneCycle({.max_lr = 0.1}); }, {"total_steps"}},
    {"a group of no parameter",
     [] { Adam(small_net().parameters(), {.groups = {{.path = "encoder.*"}}}); },
     {"encoder.*"}},
    {"an accumulator of no step",
     [] {
       Sequential net = small_net();
       Adam adam(net.parameters(), {});
       GradAccumulator(adam, 0);
     },
     {"every", "0", "at least 1"}},
    {"an average that never moves", [] { Ema(small_net().states(), {.decay = 1}); }, {"decay", "1", "[0, 1)"}},
    {"data of two lengths",
     [] {
       TensorDataset(Tensor::ones({4, 2}), Tensor::ones({3}));
     },
     {"4", "3"}},
    {"an empty batch",
     [] {
       DataLoader(TensorDataset(Tensor::ones({4, 2})), {.batch_size = 0});
     },
     {"batch_size", "0", "at least 1"}},
    {"a batch larger than the data, and the last left out",
     [] {
       DataLoader(TensorDataset(Tensor::ones({4, 2})), {.batch_size = 8, .drop_last = true});
     },
     {"batch", "8", "4"}},
    {"samples of different shapes",
     [] {
       DataLoader(SampleDataset({{Tensor::ones({2}), {}}, {Tensor::ones({3}), {}}}), {.batch_size = 2}).next();
     },
     {"sample 1", "(3,)", "(2,)"}},
    {"a sample that is not there",
     [] {
       TensorDataset(Tensor::ones({4, 2})).get(4);
     },
     {"4", "[0, 4)"}},
    {"a window that is not covered",
     [] {
       sliding_window([](const Variable& x) { return x; }, Tensor::ones({4, 4, 4, 1}), {.overlap = 1});
     },
     {"overlap", "1", "[0, 1)"}},
    {"two optimizers in a checkpoint",
     [] {
       Sequential net = small_net();
       Adam a(net.parameters(), {}), b(net.parameters(), {});
       Checkpoint().optimizer(a).optimizer(b);
     },
     {"optimizer"}},
};

TEST_CASE("mistakes: gradients", "[mistakes]") { check(gradient_mistakes); }
TEST_CASE("mistakes: losses", "[mistakes]") { check(loss_mistakes); }
TEST_CASE("mistakes: training", "[mistakes]") { check(training_mistakes); }
