// Finetuning: a net that was trained on four classes learns two others. First the body is frozen and a new head is
// trained, then the whole net with a smaller rate for the body. A copy of the first net must not change.
#include <cstdio>
#include <voxgrad/voxgrad.hpp>

namespace {

vg::Sequential net(std::int64_t classes) {
  return vg::Sequential(vg::zoo::ResNet3d({.in_size = {8, 8, 8, 1},
                                           .classes = 8,
                                           .blocks = {1, 1},
                                           .widths = {4, 8},
                                           .stem_kernel = 3,
                                           .stem_stride = 1}),
                        vg::ReLU(), vg::Dropout({.keep_prob = 0.9}), vg::Linear({.out_features = classes}));
}

// Trains on one batch and returns the last loss divided by the first.
double train(vg::Module& model, vg::Optimizer& optimizer, const vg::Tensor& x, const vg::Tensor& labels, int steps) {
  double first = 0, last = 0;
  for (int step = 0; step < steps; ++step) {
    const vg::Variable loss = vg::cross_entropy(model(x), labels);
    last = loss.item();
    if (step == 0) first = last;
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
  }
  return last / first;
}

std::vector<double> values(vg::Module& model) {
  std::vector<double> all;
  for (const auto& [path, state] : model.states())
    for (const std::string& leaf : state.leaves())
      for (std::int64_t i = 0; i < state[leaf].numel(); ++i) all.push_back(state[leaf].value().value_at(i));
  return all;
}

int failed(const char* what) {
  std::printf("failed: %s\n", what);
  return 1;
}

}  // namespace

int main() {
  vg::random::seed(3);
  const vg::Tensor x = vg::random::normal(vg::random::key_of(1), {4, 8, 8, 8, 1});
  vg::Sequential first = net(4);
  first.train();
  vg::AdamW pretraining(first.parameters(), {.lr = 0.01});
  train(first, pretraining, x, vg::Tensor::of<std::int32_t>({4}, {0, 1, 2, 3}), 5);
  vg::save(first, "pretrained.json");

  vg::Sequential model = net(2);  // loads the file except the head, which has another shape
  const vg::LoadReport report = vg::load(model, "pretrained.json", {.strict = false});
  if (report.mismatched.size() != 2) return failed("only the head's two leaves are new");
  model.freeze();
  model.unfreeze("layers.3");
  auto teacher = vg::clone(model);
  std::printf("%s", model.summary({1, 8, 8, 8, 1}).c_str());

  model.train();
  vg::AdamW optimizer(model.parameters(), {.lr = 0.02, .groups = {{.path = "layers.0", .lr_scale = 0.1}}});
  const vg::Tensor labels = vg::Tensor::of<std::int32_t>({4}, {0, 1, 1, 0});
  const std::vector<double> body = values(model[0]), before = values(teacher);
  if (!(train(model, optimizer, x, labels, 20) < 0.9)) return failed("the head learns");
  if (values(model[0]) != body) return failed("the body stands still");
  vg::save(model, "head.json");
  if (!vg::load_model("head.json")->states().at("layers.0.layers.0.weight").frozen())
    return failed("the file says what is frozen");

  model.unfreeze();
  train(model, optimizer, x, labels, 3);
  if (values(model[0]) == body) return failed("the body moves again");
  if (values(teacher) != before) return failed("the copy is as it was");
  return 0;
}
