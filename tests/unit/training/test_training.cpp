// Compares whole training runs with the Python twin (tests/golden/make_golden_training.py): a small conv net in f64.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/voxgrad.hpp"

namespace {

// Conv3d -> ReLU -> MaxPool3d -> Conv3d stride 2 -> GroupNorm -> ReLU -> Flatten -> Linear, as the golden file
// describes it.
struct Net : vg::Module {
  vg::Conv3d conv1{{.in_size = {6, 8, 5, 1}, .out_channels = 4, .kernel_size = 3, .b_init = vg::init::ZeroInit()}};
  vg::Conv3d conv2{
      {.in_size = {3, 4, 2, 4}, .out_channels = 6, .kernel_size = 3, .stride = 2, .b_init = vg::init::ZeroInit()}};
  vg::GroupNorm norm{{.in_size = {2, 2, 1, 6}, .num_groups = 2}};
  vg::Linear linear{{.in_size = {24}, .out_features = 3}};

  vg::Variable update(vg::Variable x) override {
    const vg::Variable pooled = vg::max_pool3d(vg::relu(conv1(x)), {.kernel_size = {2, 2, 2}, .stride = {2, 2, 2}});
    const vg::Variable features = vg::relu(norm(conv2(pooled)));
    return linear(vg::reshape(features, {x.dim(0), -1}));
  }
  void visit(vg::Visitor& v) override { v("conv1", conv1), v("conv2", conv2), v("norm", norm), v("linear", linear); }
};

// Golden names are "layer.leaf"; each layer of voxgrad has one trained state.
void load_initial(Net& net, const nlohmann::json& initial) {
  net.to(vg::f64);
  std::size_t loaded = 0;
  for (auto [path, state] : net.parameters())
    for (const std::string& leaf : state.leaves()) {
      state.set(leaf, vg::test::golden::tensor(initial.at(path.substr(0, path.find('.')) + "." + leaf), vg::f64));
      ++loaded;
    }
  REQUIRE(loaded == initial.size());
}

template <class Optimizer>
void follow(Net& net, Optimizer&& optimizer, const nlohmann::json& golden_file, const nlohmann::json& run) {
  const vg::Tensor x = vg::test::golden::tensor(golden_file["inputs"]["x"], vg::f64),
                   labels = vg::test::golden::tensor(golden_file["inputs"]["labels"], vg::f64);
  for (const nlohmann::json& want : run["losses"]) {
    const vg::Variable loss = vg::cross_entropy(net(x), labels);
    CHECK(std::abs(loss.item() - want.get<double>()) < 1e-10);
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
  }
  for (const auto& [path, state] : net.parameters())
    for (const std::string& leaf : state.leaves()) {
      INFO(path << " " << leaf);
      CHECK(vg::test::golden::error(
                state[leaf].value(),
                vg::test::golden::tensor(run["final"].at(path.substr(0, path.find('.')) + "." + leaf), vg::f64)) <
            1e-10);
    }
}

}  // namespace

TEST_CASE("training: the first ten losses and the final weights are the Python twin's", "[training]") {
  const nlohmann::json file = vg::test::golden::read(vg::test::golden::path_of("training.json"));
  REQUIRE(file["runs"].size() == 2);
  for (const nlohmann::json& run : file["runs"]) {
    REQUIRE(run["losses"].size() == 10);
    Net net;
    load_initial(net, file["initial"]);
    const nlohmann::json& config = run["config"];
    const std::string kind = run["optimizer"];
    INFO(kind << " " << config.dump());
    if (kind == "Adam")
      follow(net, vg::Adam(net.parameters(), {.lr = config["lr"].get<double>()}), file, run);
    else
      follow(
          net,
          vg::SGD(net.parameters(), {.lr = config["lr"].get<double>(), .momentum = config["momentum"].get<double>()}),
          file, run);
  }
}

TEST_CASE("training: the same bits for any number of threads", "[training]") {
  std::vector<vg::Tensor> reference;
  for (int threads : {1, 2, 3, 8}) {
    const vg::test::ThreadsGuard scope(threads);
    vg::random::seed(3);
    vg::Sequential model(vg::Conv3d({.in_size = {12, 10, 11, 2}, .out_channels = 16, .kernel_size = 3}),
                         vg::GroupNorm({.num_groups = 4}), vg::ReLU(),
                         vg::Conv3d({.out_channels = 24, .kernel_size = 3, .stride = 2}), vg::ReLU(),
                         vg::GlobalAvgPool3d(), vg::Linear({.out_features = 3}));
    vg::AdamW optimizer(model.parameters(), {.lr = 1e-2});
    const vg::Tensor x = vg::random::normal(vg::random::key_of(5), {3, 12, 10, 11, 2}),
                     labels = vg::Tensor::of<std::int32_t>({3}, {0, 1, 2});
    for (int step = 0; step < 3; ++step) {
      vg::cross_entropy(model(x), labels).backward();
      optimizer.step();
      optimizer.zero_grad();
    }
    std::vector<vg::Tensor> weights;
    for (const auto& [path, state] : model.parameters())
      for (const std::string& leaf : state.leaves()) weights.push_back(state[leaf].value());
    if (reference.empty()) reference = weights;
    for (std::size_t i = 0; i < weights.size(); ++i) CHECK(vg::test::same_bits(weights[i], reference[i]));
  }
}
