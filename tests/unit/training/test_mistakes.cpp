// Mistakes with modules and files; what stays silent; and the count of all tables (support/mistakes.hpp).
#include <filesystem>
#include <fstream>

#include "support/mistakes.hpp"
#include "support/temp_dir.hpp"

using namespace vg;
using namespace vg::test;

namespace {

/// A user's module for the mistakes.
struct OwnNet : Module {
  Linear first{{.in_size = {2}, .out_features = 2}}, second{{.in_size = {2}, .out_features = 2}};
  bool names_second = true, names_itself = false;
  Variable update(Variable x) override { return second(first(x)); }
  void visit(Visitor& v) override {
    v("first", first);
    if (names_second) v("second", second);
    if (names_itself) v("itself", *this);
  }
};

}  // namespace

const std::vector<Mistake> vg::test::module_mistakes{
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

namespace {

/// Mistakes with files in this folder.
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

/// Calls that cause no error, here and in PyTorch, because they are also useful.
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

}  // namespace

TEST_CASE("mistakes: modules", "[mistakes]") { check(module_mistakes); }
TEST_CASE("mistakes: files", "[mistakes]") {
  const TempDir folder;
  check(files(folder / ""));
}

TEST_CASE("mistakes: calls without an error are those that PyTorch accepts, too", "[mistakes]") {
  for (const Silent& s : silent) {
    INFO(s.what << ": " << s.reason);
    CHECK_NOTHROW(s.make());
  }
}

TEST_CASE("mistakes: a hundred of them", "[mistakes]") {
  const TempDir folder;
  std::size_t rows = 0;
  for (const auto* table :
       {&layer_mistakes, &input_mistakes, &gradient_mistakes, &loss_mistakes, &training_mistakes, &module_mistakes})
    rows += table->size();
  CHECK(rows + files(folder / "").size() >= 100);
}
