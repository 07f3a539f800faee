// Writes real checkpoints into a folder, for the checks in Python (checkpoint_python.py): a trained model with all
// parts of a run in both encodings, each kind of value, and each dtype with its special values.
#include <limits>
#include <string>

#include <fmt/format.h>

#include "support/checkpoint_versions.hpp"
#include "voxgrad/voxgrad.hpp"

namespace {

void run_of_a_model(const std::string& folder) {
  vg::random::seed(1);
  vg::Sequential model(vg::Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}), vg::BatchNorm3d(),
                       vg::ReLU(), vg::Dropout({.seed = 3}), vg::GlobalAvgPool3d(), vg::Linear({.out_features = 2}));
  vg::AdamW optimizer(model.parameters(), {.lr = vg::OneCycle({.max_lr = 0.01, .total_steps = 4})});
  vg::DataLoader loader(vg::ShapesDataset({.count = 16, .size = 8, .seed = 1}), {.batch_size = 4, .shuffle = true});
  model.train();
  for (int step = 0; step < 3; ++step) {
    vg::mean(model(loader.next().x)).backward();
    optimizer.step();
    optimizer.zero_grad();
  }
  vg::Checkpoint checkpoint;
  checkpoint.model(model).optimizer(optimizer).part("loader", loader);
  checkpoint.progress = {{"step", 3}, {"best", 0.25}};
  checkpoint.save(folder + "/run.json");
  checkpoint.save(folder + "/run-base64.json", {.encoding = vg::Encoding::base64});
  vg::save(model, folder + "/model.json");
}

void run_of_two_models(const std::string& folder) {
  vg::Sequential generator(vg::Linear({.in_size = {2}, .out_features = 3})),
      critic(vg::Linear({.in_size = {3}, .out_features = 1}));
  generator.freeze("layers.0.weight.bias");
  vg::SGD of_generator(generator.parameters(), {.lr = 0.1}), of_critic(critic.parameters(), {.lr = 0.1});
  vg::Checkpoint checkpoint;
  checkpoint.model("generator", generator).optimizer("generator", of_generator);
  checkpoint.model("critic", critic).optimizer("critic", of_critic);
  checkpoint.save(folder + "/models.json");
}

void values(const std::string& folder) {
  using Limits = std::numeric_limits<std::int64_t>;
  vg::Checkpoint checkpoint;
  checkpoint.generator(vg::random::default_generator());
  checkpoint.progress = {{"yes", true},
                         {"ints", std::vector<std::int64_t>{Limits::min(), Limits::max()}},
                         {"no ints", std::vector<std::int64_t>{}},
                         {"real", 2.0},
                         {"inf", std::numeric_limits<double>::infinity()},
                         {"reals", std::vector<double>{0.1, -0.0}},
                         {"odd reals", std::vector<double>{std::numeric_limits<double>::quiet_NaN()}},
                         {"no reals", std::vector<double>{}},
                         {"text", "\"quoted\" é \x01"},
                         {"texts", std::vector<std::string>{"a", "nan"}},
                         {"no texts", std::vector<std::string>{}}};
  checkpoint.save(folder + "/values.json");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: checkpoint_samples FOLDER\n");
    return 2;
  }
  const std::string folder = argv[1];
  run_of_a_model(folder);
  run_of_two_models(folder);
  values(folder);
  vg::test::VersionsRun all;
  all.checkpoint.save(folder + "/specials.json", {.allow_nan = true});
  all.checkpoint.save(folder + "/specials-base64.json", {.encoding = vg::Encoding::base64, .allow_nan = true});
}
