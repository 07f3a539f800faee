// A hundred mistakes that users make, and what each is told: what is wrong, where, and what to do. A row's texts must
// all be in the message.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>
#include <voxgrad/xtensor.hpp>

#include "support/temp_dir.hpp"

using namespace vg;

namespace {

struct Mistake {
  std::string what;
  std::function<void()> make;
  std::vector<std::string> told;
};

Variable ones(const Shape& shape, DType dtype = f32) { return Tensor::ones(shape, dtype); }
Tensor labels(const Shape& shape, int value = 0) { return Tensor::full(shape, value, i32); }
Sequential small_net() {
  return Sequential(Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}), ReLU(), MaxPool3d(2),
                    GlobalAvgPool3d(), Linear(2));
}
/// A leaf with a gradient.
Variable trained(const Shape& shape) {
  Variable v(Tensor::ones(shape), true);
  sum(v * v).backward();
  return v;
}

const std::vector<Mistake> layers{
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

const std::vector<Mistake> inputs{
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
    {"the wrong type of a tensor's data", [] { Tensor::ones({2}).data<double>(); }, {"asked for f64", "holds f32"}},
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

const std::vector<Mistake> gradients_{
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
    {"a seed of another shape", [] { (trained({2}) * 2.0).backward(ones({3})); }, {"seed", "(3,)", "(2,)"}},
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

const std::vector<Mistake> losses{
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

const std::vector<Mistake> training{
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

/// A module of a user's own, as the mistakes need it.
struct OwnNet : Module {
  Linear first{{.in_size = {2}, .out_features = 2}}, second{{.in_size = {2}, .out_features = 2}};
  bool names_second = true, names_itself = false;
  Variable update(const Variable& x) override { return second(first(x)); }
  void visit(Visitor& v) override {
    v("first", first);
    if (names_second) v("second", second);
    if (names_itself) v("itself", *this);
  }
};

const std::vector<Mistake> modules{
    {"a wrong size deep in a net",
     [] {
       Sequential(ReLU(), Sequential(ReLU(), Linear({.in_size = {3}, .out_features = 2})))(ones({1, 2}));
     },
     {"in layers.1.layers.1 (Linear): [Linear]", "(1, 2)"}},
    {"a layer that visit() does not name",
     [] {
       OwnNet net;
       net.names_second = false;
       net.train();
       net(ones({1, 2}));
     },
     {"OwnNet", "a Linear that visit() does not name", "v(\"name\", member)"}},
    {"a net with dropout that was never put in training mode",
     [] {
       Sequential net(Linear({.in_size = {2}, .out_features = 2}), Dropout());
       SGD sgd(net.parameters(), {.lr = 0.1});
       sum(net(ones({1, 2}))).backward();
       sgd.step();
     },
     {"[SGD] step", "layers.1 (Dropout)", "model.train()"}},
    {"a net that was moved from",
     [] {
       OwnNet net;
       const OwnNet other = std::move(net);
       net.parameters();
     },
     {"first.weight", "moved from"}},
    {"a module that visits itself",
     [] {
       OwnNet net;
       net.names_itself = true;
       net.description();
     },
     {"\"itself\" is the model itself"}},
    {"a module without kind() in a file",
     [] {
       OwnNet net;
       save(net, "unused.json");
     },
     {"the model has no kind()", "override"}},
    {"a copy of a module",
     [] {
       const OwnNet net;
       OwnNet copy(net);
     },
     {"OwnNet", "not copied", "vg::clone"}},
    {"two inputs for a module of one",
     [] {
       Linear({.in_size = {2}, .out_features = 2}).call({ones({1, 2}), ones({1, 2})});
     },
     {"[Linear] call", "2 inputs", "MultiModule"}},
    {"a frozen part that is not there",
     [] { small_net().freeze("encoder"); },
     {"[Sequential] freeze", "encoder", "layers.0.weight.weight"}},
    {"backward where nothing was recorded",
     [] {
       const NoGradGuard no_grad;
       sum(small_net()(ones({1, 8, 8, 8, 1}))).backward();
     },
     {"[backward] output", "vg::NoGradGuard is on"}},
};

/// Mistakes with files, each in a folder of its own.
std::vector<Mistake> files(const std::filesystem::path& folder) {
  const auto path = [folder](const char* name) { return folder / name; };
  const auto write = [](const std::filesystem::path& p, const std::string& bytes) {
    std::ofstream(p, std::ios::binary) << bytes;
  };
  return {
      {"a checkpoint that is not there",
       [=] { load_model(path("none.json")); },
       {"none.json", "there is no such file"}},
      {"a folder as checkpoint", [=] { load_model(folder); }, {folder.filename().string()}},
      {"an empty file", [=] { write(path("empty.json"), ""), load_model(path("empty.json")); }, {"empty.json"}},
      {"a file that is no checkpoint",
       [=] { write(path("a.json"), "hello"), load_model(path("a.json")); },
       {"a.json", "line 1"}},
      {"half a checkpoint",
       [=] {
         Sequential net = small_net();
         save(net, path("half.json"));
         std::filesystem::resize_file(path("half.json"), std::filesystem::file_size(path("half.json")) / 2);
         load_model(path("half.json"));
       },
       {"half.json", "line"}},
      {"a checkpoint of another net",
       [=] {
         Sequential net = small_net();
         save(net, path("net.json"));
         Linear other({.in_size = {4}, .out_features = 2});
         load(other, path("net.json"));
       },
       {"Linear", "Sequential"}},
      {"f32 weights into an f64 net",
       [=] {
         Sequential net = small_net();
         save(net, path("net.json"));
         net.to(f64);
         load(net, path("net.json"));
       },
       {"the file has f32", "the model f64", "call to(vg::f32)", "to(vg::f64) after it"}},
      {"a folder that cannot be written to",
       [=] {
         Sequential net = small_net();
         save(net, path("no/such/folder/net.json"));
       },
       {"net.json", "No such file"}},
      {"a part of a checkpoint that it has not",
       [=] {
         Sequential net = small_net();
         save(net, path("net.json"));
         load(net, path("net.json"), {.prefix = "encoder"});
       },
       {"encoder"}},
      {"no safetensors file",
       [=] { write(path("a.safetensors"), "x"), read_safetensors(path("a.safetensors")); },
       {"a.safetensors"}},
      {"no npz file", [=] { write(path("a.npz"), "no zip at all"), read_npz(path("a.npz")); }, {"a.npz"}},
      {"no NIfTI file", [=] { write(path("a.nii"), "x"), read_nifti(path("a.nii")); }, {"a.nii"}},
      {"a volume of two axes",
       [=] {
         write_nifti(path("b.nii"), Volume{.data = Tensor::ones({4, 4})});
       },
       {"(4, 4)"}},
  };
}

/// What stays silent, here as in PyTorch, because it is also something that users want.
struct Silent {
  std::string what, reason;
  std::function<void()> make;
};
const std::vector<Silent> silent{
    {"gradients that were not zeroed", "they add up: that is how batches are accumulated",
     [] {
       Variable x = trained({2});
       sum(x * x).backward();
     }},
    {"softmax before cross_entropy", "probabilities are logits, too, of another net",
     [] {
       cross_entropy(softmax(ones({2, 3})), labels({2}));
     }},
    {"a sum of (2, 3) and (3,) that was meant for (2,)", "broadcasting aligns the last axes, as in NumPy",
     [] {
       ones({2, 3}) + ones({3});
     }},
    {"a rate of 10", "nobody knows which rate is too large for a model",
     [] { Adam(small_net().parameters(), {.lr = 10}); }},
    {"data that is not shuffled", "a validation set is read in order",
     [] {
       DataLoader(TensorDataset(Tensor::ones({4, 2})), {.batch_size = 2}).next();
     }},
    {"target and prediction exchanged", "both are variables, and the value is the same",
     [] { mse_loss(ones({2}), trained({2})); }},
    {"inputs of 0 to 255", "a net takes any finite numbers",
     [] {
       small_net()(ones({1, 8, 8, 8, 1}) * 255.0);
     }},
    {"a step without gradients", "leaves without one are left as they are, as where a branch was not used",
     [] {
       Sequential net = small_net();
       Adam(net.parameters(), {}).step();
     }},
};

void check(const std::vector<Mistake>& mistakes) {
  const bool prints = std::getenv("VOXGRAD_PRINT_MISTAKES") != nullptr;  // the table, for reading
  for (const Mistake& m : mistakes) {
    std::string message;
    try {
      m.make();
      message = "(silent)";
    } catch (const std::exception& error) {
      message = error.what();
    }
    if (prints) std::printf("%s\n    %s\n", m.what.c_str(), message.c_str());
    INFO(m.what << ": " << message);
    CHECK(message != "(silent)");
    for (const std::string& told : m.told) CHECK_THAT(message, Catch::Contains(told));
  }
}

}  // namespace

TEST_CASE("mistakes: layers", "[mistakes]") { check(layers); }
TEST_CASE("mistakes: inputs", "[mistakes]") { check(inputs); }
TEST_CASE("mistakes: gradients", "[mistakes]") { check(gradients_); }
TEST_CASE("mistakes: losses", "[mistakes]") { check(losses); }
TEST_CASE("mistakes: training", "[mistakes]") { check(training); }
TEST_CASE("mistakes: modules", "[mistakes]") { check(modules); }
TEST_CASE("mistakes: files", "[mistakes]") {
  const ::test::TempDir folder;
  check(files(folder / ""));
}

TEST_CASE("mistakes: what is silent is what PyTorch leaves silent", "[mistakes]") {
  for (const Silent& s : silent) {
    INFO(s.what << ": " << s.reason);
    CHECK_NOTHROW(s.make());
  }
}

TEST_CASE("mistakes: a hundred of them", "[mistakes]") {
  const ::test::TempDir folder;
  std::size_t rows = 0;
  for (const auto* table : {&layers, &inputs, &gradients_, &losses, &training, &modules}) rows += table->size();
  CHECK(rows + files(folder / "").size() >= 100);
}
