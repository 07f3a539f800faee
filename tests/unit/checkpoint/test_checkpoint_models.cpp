// Several models and optimizers in one checkpoint, each by name.
#include <catch2/catch.hpp>

#include "support/checkpoint_run.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/finite.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

using namespace vg;
using Catch::Contains;
using vg::test::message_of;
using vg::test::TempDir;

namespace {

struct Gan {
  Sequential generator{Linear({.in_size = {3}, .out_features = 4}), Tanh()};
  Sequential critic{Linear({.in_size = {4}, .out_features = 1})};
  Adam of_generator{generator.parameters(), {.lr = 0.01}};
  Adam of_critic{critic.parameters(), {.lr = 0.02}};

  void step() {
    const Variable fake = generator(Variable(Tensor::ones({2, 3})));
    mean(critic(fake)).backward();
    of_generator.step();
    of_critic.step();
    of_generator.zero_grad();
    of_critic.zero_grad();
  }
  Checkpoint checkpoint() {
    Checkpoint c;
    c.model("generator", generator).optimizer("generator", of_generator);
    c.model("critic", critic).optimizer("critic", of_critic);
    return c;
  }
};

// What a load took of models and optimizers.
std::vector<std::string> loaded(const LoadReport& report) {
  std::vector<std::string> names = report.loaded;
  std::erase(names, "generator");
  return names;
}

}  // namespace

TEST_CASE("several models: a run of two continues with the same bits") {
  const TempDir folder;
  Gan a, b;
  a.step(), a.step();
  for (const Encoding encoding : {Encoding::decimal, Encoding::base64}) {
    a.checkpoint().save(folder / "run.json", {.encoding = encoding});
    const LoadReport report = b.checkpoint().load(folder / "run.json");
    CHECK(report.complete());
    CHECK(loaded(report) == std::vector<std::string>{"model \"generator\": layers.0.weight.weight",
                                                     "model \"generator\": layers.0.weight.bias",
                                                     "model \"critic\": layers.0.weight.weight",
                                                     "model \"critic\": layers.0.weight.bias",
                                                     "optimizer \"generator\"", "optimizer \"critic\""});
    a.step(), b.step();
    CHECK(vg::test::bits(a.generator) == vg::test::bits(b.generator));
    CHECK(vg::test::bits(a.critic) == vg::test::bits(b.critic));
    CHECK(b.of_critic.steps() == a.of_critic.steps());
  }
  // A named model in addition to one without a name.
  Sequential teacher(Linear({.in_size = {2}, .out_features = 2})), student(Linear({.in_size = {2}, .out_features = 2}));
  Checkpoint().model(student).model("teacher", teacher).save(folder / "both.json");
  CHECK(loaded(Checkpoint().model(student).model("teacher", teacher).load(folder / "both.json")).size() == 4);
  CHECK(load(student, folder / "both.json").loaded.size() == 2);
}

TEST_CASE("several models: each by itself") {
  const TempDir folder;
  Gan a;
  a.step();
  a.checkpoint().save(folder / "run.json");
  Sequential critic(Linear({.in_size = {4}, .out_features = 1}));
  CHECK(load(critic, folder / "run.json", {.model = "critic"}).loaded.size() == 2);
  CHECK(vg::test::bits(critic) == vg::test::bits(a.critic));
  CHECK(vg::test::bits(*load_model(folder / "run.json", "generator")) == vg::test::bits(a.generator));
  CHECK_THAT(message_of([&] { load(critic, folder / "run.json"); }),
             Contains("no model without a name; it holds \"generator\", \"critic\": name one"));
  CHECK_THAT(message_of([&] { load(critic, folder / "run.json", {.model = "crtic"}); }),
             Contains("no model \"crtic\"; it holds"));
  CHECK_THAT(message_of([&] { (void)load_model(folder / "run.json"); }), Contains("name one"));
}

TEST_CASE("several models: differences are listed by name, and nothing changes") {
  const TempDir folder;
  Gan a, b;
  a.step();
  a.checkpoint().save(folder / "run.json");
  const auto before = vg::test::bits(b.generator);
  CHECK_THAT(message_of([&] { Checkpoint().model("generator", b.generator).load(folder / "run.json"); }),
             Contains("unexpected: the file holds model \"critic\"") &&
                 Contains("unexpected: the file holds optimizer \"critic\""));
  CHECK_THAT(message_of([&] { b.checkpoint().model("judge", b.critic).load(folder / "run.json"); }),
             Contains("missing: the file holds no model \"judge\""));
  Sequential wide(Linear({.in_size = {4}, .out_features = 2}));
  Checkpoint other;
  other.model("generator", b.generator)
      .optimizer("generator", b.of_generator)
      .model("critic", wide)
      .optimizer("critic", b.of_critic);
  CHECK_THAT(message_of([&] { other.load(folder / "run.json"); }),
             Contains("model \"critic\": state \"layers.0.weight\", leaf \"weight\""));
  CHECK(vg::test::bits(b.generator) == before);
  const LoadReport report = other.load(folder / "run.json", {.strict = false});
  CHECK_THAT(report.str(), Contains("mismatched: model \"critic\": layers.0.weight.weight"));
  CHECK(vg::test::bits(b.generator) == vg::test::bits(a.generator));

  CHECK_THAT(message_of([&] { a.checkpoint().model("critic", b.critic); }),
             Contains("model \"critic\": there already is one"));
  CHECK_THAT(message_of([&] { a.checkpoint().optimizer("critic", b.of_critic); }),
             Contains("optimizer \"critic\": there already is one"));
}

TEST_CASE("several models: a snapshot is independent of the run") {
  const TempDir folder;
  Gan a;
  a.step();
  a.checkpoint().save(folder / "now.json");
  Snapshot snapshot = a.checkpoint().snapshot();
  snapshot.detach();
  a.step();
  snapshot.save(folder / "later.json");
  CHECK(vg::test::read_bytes(folder / "now.json") == vg::test::read_bytes(folder / "later.json"));
  a.critic.get<Linear>(0).weight.set("bias", Tensor::full({1}, std::nan("")));
  CHECK_THAT(message_of<NonFiniteError>([&] { a.checkpoint().snapshot().require_finite(); }),
             Contains("the model \"critic\"'s layers.0.weight, leaf bias"));
}
