// Files from each version of the format, which must load to the same bits in all later versions.
#include <catch2/catch.hpp>

#include "support/checkpoint_versions.hpp"
#include "support/data_file.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"

using namespace vg::test;

TEST_CASE("checkpoint: stored files of every version load to the same bits") {
  VersionsRun made;
  for (const std::string name : {"checkpoint-v1.json", "checkpoint-v2.json", "checkpoint-v2-base64.json",
                                 "checkpoint-v3.json", "checkpoint-v3-base64.json"}) {
    INFO(name);
    const std::filesystem::path path = data_file(name);
    VersionsRun run;
    for (const auto& [where, state] : run.model.states())
      for (const std::string& leaf : state.leaves())
        vg::State(state).set(leaf, vg::Tensor::zeros(state[leaf].shape(), state[leaf].dtype()));
    run.optimizer.step = 0;
    run.optimizer.momentum = vg::Tensor::zeros({3});
    run.generator.set_key({1, 1});
    run.checkpoint.progress.clear();
    run.checkpoint.load(path);
    CHECK(bits(run.model) == bits(made.model));
    const auto copy = vg::load_model(path);  // options of older versions under their new names
    CHECK(bits(*copy) == bits(made.model));
    CHECK(copy->description().children[3].second.options[0] == std::pair<std::string, vg::Value>("keep_prob", 0.75));
    CHECK(run.optimizer.step == 12);
    CHECK(bytes_of(run.optimizer.momentum) == bytes_of(made.optimizer.momentum));
    CHECK(run.generator.key() == made.generator.key());
    CHECK(run.checkpoint.progress == made.checkpoint.progress);
    const auto document = vg::checkpoint::read(path);
    CHECK(document.version == name[std::string("checkpoint-v").size()] - '0');
    CHECK(document.summed == (document.version > 1));
  }
}

TEST_CASE("checkpoint: the file of this version equals the stored one") {
  const TempDir folder;
  VersionsRun run;
  run.checkpoint.save(folder / "now.json", {.allow_nan = true});
  CHECK(read_bytes(folder / "now.json") == read_bytes(data_file("checkpoint-v3.json")));
  run.checkpoint.save(folder / "now.json", {.encoding = vg::Encoding::base64, .allow_nan = true});
  CHECK(read_bytes(folder / "now.json") == read_bytes(data_file("checkpoint-v3-base64.json")));
  CHECK(read_bytes(data_file("checkpoint-v1.json")).find("crc32") == std::string::npos);
}
