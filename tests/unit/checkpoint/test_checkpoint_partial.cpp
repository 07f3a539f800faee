// Partial loads: by prefix, with other names, or whatever fits; and their reports.
#include <catch2/catch.hpp>

#include "support/checkpoint_run.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"

using Catch::Matchers::Contains;
using namespace vg::test;
using Names = std::vector<std::string>;

namespace {

// The leaves of a Layer below a path, in the order of visit().
Names leaves(const std::string& at) {
  return {at + ".weight.weight", at + ".weight.bias", at + ".stats.mean", at + ".stream.key"};
}
Names operator+(Names a, const Names& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Deep : vg::Module {
  Net encoder, decoder;
  explicit Deep(float fill) : encoder(fill), decoder(10 * fill) {}
  vg::Variable update(vg::Variable x) override { return x; }
  void visit(vg::Visitor& v) override {
    v("encoder", encoder);
    v("decoder", decoder);
  }
  std::string kind() const override { return "Deep"; }
};

}  // namespace

TEST_CASE("partial load: a complete load reports all names") {
  const TempDir folder;
  Net net(2), other(5);
  vg::save(net, folder / "m.json");
  const vg::LoadReport report = vg::load(other, folder / "m.json");
  CHECK(report.loaded == leaves("a") + leaves("b"));
  CHECK(report.complete());
  CHECK(report.str() == "8 loaded, 0 missing, 0 unexpected, 0 mismatched");
}

TEST_CASE("partial load: below a prefix") {
  const TempDir folder;
  Deep saved(2), other(5);
  vg::save(saved, folder / "m.json");
  const auto before = bits(other.decoder);
  const auto report = vg::load(other, folder / "m.json", {.prefix = "encoder"});
  CHECK(report.loaded == leaves("encoder.a") + leaves("encoder.b"));
  CHECK(report.complete());
  CHECK(bits(other.encoder) == bits(saved.encoder));
  CHECK(bits(other.decoder) == before);
  CHECK_THAT(message([&] { vg::load(other, folder / "m.json", {.prefix = "enc"}); }),
             Contains("ValueError") && Contains("prefix: the model has no state below \"enc\""));
  CHECK(bits(other.decoder) == before);
  CHECK(vg::load(other, folder / "m.json", {.prefix = "decoder.a.weight"}).loaded ==
        Names{"decoder.a.weight.weight", "decoder.a.weight.bias"});
}

TEST_CASE("partial load: with other names") {
  const TempDir folder;
  Net net(2);
  Deep deep(5);
  vg::save(net, folder / "net.json");
  vg::save(deep, folder / "deep.json");
  const auto before = bits(deep.decoder);
  SECTION("all of the file below a place of the model") {
    CHECK(vg::load(deep, folder / "net.json", {.rename = {{"", "encoder"}}, .prefix = "encoder"}).complete());
    CHECK(bits(deep.encoder) == bits(net));
    CHECK(bits(deep.decoder) == before);
  }
  SECTION("a place of the file into the whole model") {
    const auto report =
        vg::load(net, folder / "deep.json", {.rename = {{"encoder", ""}}, .rename_with = [](const std::string& path) {
                                               return path.starts_with("decoder") ? std::string() : path;
                                             }});
    CHECK(report.complete());
    CHECK(bits(net) == bits(deep.encoder));
  }
  SECTION("the longest of the renames wins, and whole names only") {
    Net twisted(7);
    CHECK(vg::load(twisted, folder / "net.json", {.rename = {{"a", "b"}, {"b", "a"}}}).complete());
    CHECK(bits(twisted.a) == bits(net.b));
    CHECK(bits(twisted.b) == bits(net.a));
    const auto back = vg::load(twisted, folder / "net.json",
                               {.strict = false, .rename = {{"a", "x"}, {"a.weight", "a.weight"}, {"a.stat", "y"}}});
    CHECK(back.loaded == Names{"a.weight.weight", "a.weight.bias"} + leaves("b"));
    CHECK(back.unexpected == Names{"x.stats.mean", "x.stream.key"});
    CHECK(back.missing == Names{"a.stats.mean", "a.stream.key"});
  }
  SECTION("what cannot be meant") {
    CHECK_THAT(message([&] {
                 vg::load(net, folder / "net.json", {.rename = {{"c", "a"}}});
               }),
               Contains("rename: no path of the file begins with \"c\""));
    CHECK_THAT(message([&] {
                 vg::load(net, folder / "net.json", {.strict = false, .rename = {{"a", "b"}}});
               }),
               Contains("rename: two states of the file are to be \"b.weight\""));
    CHECK_THAT(message([&] {
                 vg::load(deep, folder / "net.json", {.rename = {{"a", "encoder.a"}}, .prefix = "encoder"});
               }),
               Contains("missing: state \"encoder.b.weight\""));
  }
  CHECK(bits(deep.decoder) == before);
}

TEST_CASE("partial load: whatever fits, and a report of the rest") {
  const TempDir folder;
  Net net(2);
  vg::save(net, folder / "net.json");
  Net other(5, 4);  // other sizes, so only tensors without extents are loaded
  other.b.stats.replace("mean", vg::Tensor::scalar(1, vg::f64));
  other.a.weight.add("scale", vg::Tensor::ones({1}));
  other.a.weight.set_grad("scale", vg::Tensor::ones({1}));
  const auto weight = bytes_of(other.a.weight["weight"].value());
  const auto report = vg::load(other, folder / "net.json", {.strict = false});
  CHECK(report.loaded == Names{"a.stats.mean", "a.stream.key", "b.stream.key"});
  CHECK(report.missing == Names{"a.weight.scale"});
  CHECK(report.unexpected.empty());
  REQUIRE(report.mismatched.size() == 5);
  CHECK(report.mismatched[0] == "a.weight.weight: the file has f32 (2, 3), the model f32 (2, 4)");
  CHECK(report.mismatched[4] ==
        "b.stats.mean: the file has f32 (), the model f64 (); call to(vg::f32) of the model before "
        "the load, and to(vg::f64) after it");
  CHECK_FALSE(report.complete());
  CHECK_THAT(report.str(), Contains("3 loaded, 1 missing, 0 unexpected, 5 mismatched\n  missing: a.weight.scale\n") &&
                               Contains("\n  mismatched: a.weight.bias: the file has f64 (3,)"));
  CHECK(bytes_of(other.a.weight["weight"].value()) == weight);
  CHECK(other.a.weight["scale"].grad().defined());  // gradients of leaves that are not loaded are kept
  CHECK(bytes_of(other.a.stats["mean"].value()) == bytes_of(net.a.stats["mean"].value()));

  Holder holder(vg::Tensor::ones({2}));
  const auto none = vg::load(holder, folder / "net.json", {.strict = false});
  CHECK(none.loaded.empty());
  CHECK(none.missing == Names{"state.value"});
  CHECK(none.unexpected == leaves("a") + leaves("b"));
}

TEST_CASE("partial load: states of another kind do not mix") {
  const TempDir folder;
  struct Kinds : vg::Module {
    vg::State state;
    explicit Kinds(vg::StateKind kind) : state(kind) { state.add("v", vg::Tensor::ones({2})); }
    vg::Variable update(vg::Variable x) override { return x; }
    std::string kind() const override { return "Kinds"; }
    void visit(vg::Visitor& v) override { v("s", state); }
  };
  Kinds trained(vg::StateKind::param), kept(vg::StateKind::batch);
  vg::save(trained, folder / "m.json");
  CHECK(vg::load(kept, folder / "m.json", {.strict = false}).mismatched ==
        Names{"s.v: the file has the kind ParamState, the model BatchState"});
}

TEST_CASE("partial load: of a whole run") {
  const TempDir folder;
  Net net(2);
  Part optimizer, loader;
  vg::random::Generator generator(3);
  optimizer.step = 7;
  vg::Checkpoint all;
  all.model(net).optimizer(optimizer).generator(generator).part("loader", loader);
  all.save(folder / "all.json");

  Net other(5);
  Part part, bad;
  vg::Checkpoint some;
  some.model(other).optimizer(part).part("history", bad);
  const auto report = some.load(folder / "all.json", {.strict = false});
  CHECK(report.loaded == leaves("a") + leaves("b") + Names{"optimizer", "generator"});
  CHECK(report.missing == Names{"part \"history\""});
  CHECK(report.unexpected == Names{"part \"loader\""});
  CHECK(part.step == 7);
  CHECK(bits(other) == bits(net));

  optimizer.step = -1;  // a value that the part refuses
  all.save(folder / "bad.json");
  vg::Checkpoint again;
  part.step = 1;
  again.optimizer(part);
  const auto refused = again.load(folder / "bad.json", {.strict = false});
  CHECK(refused.mismatched == Names{"optimizer: step: got a negative one", "optimizer: so nothing fits"});
  CHECK(refused.unexpected.front() == "model");
  CHECK(part.step == 1);
}
