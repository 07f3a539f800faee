// load_model: every layer is made again from its description with the same bits, and anything else is refused.
#include <catch2/catch.hpp>
#include <filesystem>
#include <regex>
#include <set>

#include "support/checkpoint_run.hpp"
#include "support/data_file.hpp"
#include "support/every_layer.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using Catch::Matchers::Contains;
using vg::test::message;
using vg::test::TempDir;

namespace {

std::string out_of(Module& m, const Variable& x) {
  const NoGradGuard quiet;
  return vg::test::bytes_of(m(x).value());
}

struct Own : Module {
  std::int64_t features = 3;
  Linear linear{{.in_size = {4}, .out_features = 3}};
  Own() = default;
  explicit Own(std::int64_t n) : features(n), linear({.in_size = {4}, .out_features = n}) {}
  Variable update(Variable x) override { return linear(x); }
  void visit(Visitor& v) override { v("linear", linear); }
  std::string kind() const override { return "Own"; }
  Attributes options() const override { return {{"features", features}}; }
};
struct Plain : Own {
  std::string kind() const override { return "Plain"; }
  Attributes options() const override { return {}; }
};
struct FromDescription : Own {
  FromDescription() : Own(2) {}
  explicit FromDescription(const ModuleConfig& d) : Own(std::get<std::int64_t>(d.options.at(0).second)) {}
  std::string kind() const override { return "FromDescription"; }
};

}  // namespace

TEST_CASE("registry: every layer comes back with the same bits") {
  const TempDir folder;
  std::set<std::string> seen;
  for (const vg::test::LayerCase& c : vg::test::every_layer()) {
    seen.insert(c.model->kind());
    INFO(c.model->kind() << " " << c.model->description().options.size());
    const Variable x = random::normal({1, 2}, c.input);
    for (const DType dtype : {f32, f64}) {
      c.model->to(dtype);
      const Variable in(x.value().to(dtype));
      save(*c.model, folder / "m.json", {.encoding = dtype == f32 ? Encoding::decimal : Encoding::base64});
      const auto back = load_model(folder / "m.json");
      CHECK(vg::test::bits(*back) == vg::test::bits(*c.model));
      CHECK(out_of(*back, in) == out_of(*c.model, in));
      CHECK_FALSE(back->training());
      save(*back, folder / "again.json", {.encoding = dtype == f32 ? Encoding::decimal : Encoding::base64});
      CHECK(vg::test::read_bytes(folder / "again.json") == vg::test::read_bytes(folder / "m.json"));
      if (c.model->parameters().empty()) break;
    }
  }
  // The table has every layer that the headers declare, and each has a case here.
  std::set<std::string> declared;
  const std::regex kind("std::string kind\\(\\) const override \\{ return \"(\\w+)\"; \\}");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(vg::test::source_folder() / "layers")) {
    if (entry.path().extension() != ".hpp") continue;
    const std::string text = vg::test::read_bytes(entry.path());
    for (std::sregex_iterator it(text.begin(), text.end(), kind), end; it != end; ++it) declared.insert((*it)[1]);
  }
  CHECK(declared.size() > 30);
  CHECK(seen == declared);
  for (const std::string& name : declared) {
    const auto all = registered_modules();
    CHECK(std::count(all.begin(), all.end(), name) == 1);
  }
}

TEST_CASE("registry: layers that are not built yet come back, too") {
  const TempDir folder;
  Sequential model(Conv3d({.out_channels = 4, .kernel_size = 3, .b_init = init::ZeroInit()}), BatchNorm3d(), Flatten(),
                   Linear({.out_features = 2}));
  save(model, folder / "m.json");
  const auto back = load_model(folder / "m.json");
  back->build({4, 4, 4, 2});
  model.build({4, 4, 4, 2});
  CHECK(back->states().size() == model.states().size());
  CHECK(back->out_size() == model.out_size());

  // a mask that is an array is saved before the layer is built, too
  Linear masked({.out_features = 2, .w_mask = Tensor::of<float>({3, 2}, {1, 0, 1, 0, 1, 1})});
  save(masked, folder / "masked.json");
  const auto again = load_model(folder / "masked.json");
  again->build({3});
  for (auto [path, state] : again->parameters()) state.set("weight", Tensor::ones({3, 2}));
  CHECK((*again)(Variable(Tensor::ones({1, 3}))).value().values() ==
        std::vector<double>{3, 1});  // the columns of the mask
}

TEST_CASE("registry: modules of one's own") {
  const TempDir folder;
  Own own(5);
  save(own, folder / "own.json");
  CHECK_THAT(message([&] { load_model(folder / "own.json"); }),
             Contains("ValueError [load_model] ") &&
                 Contains("own.json: [make_module] kind: \"Own\" is not registered") && Contains("register_module") &&
                 Contains("Conv3d, ConvTranspose3d"));
  register_module("Own", [](const ModuleConfig& d) {
    return std::make_unique<Own>(std::get<std::int64_t>(d.options.at(0).second));
  });
  register_module<Plain>("Plain");
  register_module<FromDescription>("FromDescription");
  CHECK(vg::test::bits(*load_model(folder / "own.json")) == vg::test::bits(own));
  Sequential both;
  both.push_back(std::make_shared<Plain>());
  both.push_back(std::make_shared<ReLU>());
  save(both, folder / "both.json");
  CHECK(vg::test::bits(*load_model(folder / "both.json")) == vg::test::bits(both));
  FromDescription third;
  save(third, folder / "third.json");
  CHECK(vg::test::bits(*load_model(folder / "third.json")) == vg::test::bits(third));

  const auto any_factory = [](const ModuleConfig&) { return std::make_unique<Plain>(); };
  CHECK_THROWS_WITH(register_module("Own", any_factory), Contains("\"Own\" is registered already"));
  CHECK_THROWS_WITH(register_module<Plain>("Conv3d"), Contains("\"Conv3d\" is registered already"));
  CHECK_THROWS_WITH(register_module("Empty", nullptr), Contains("factory: got none"));
  register_module("Null", [](const ModuleConfig&) { return nullptr; });
  CHECK_THROWS_WITH(make_module({"Null", {}, {}}), Contains("returned nullptr"));
  register_module("Liar", any_factory);
  CHECK(make_module({"Liar", {}, {}})->kind() == "Plain");
}

TEST_CASE("registry: what a description asks for and the file does not hold is refused") {
  const TempDir folder;
  Sequential model(Conv3d({.in_size = {4, 4, 4, 2}, .out_channels = 4, .kernel_size = 3}), BatchNorm3d(),
                   GlobalAvgPool3d(), Linear({.out_features = 3}));
  save(model, folder / "m.json");
  const std::string good =
      std::regex_replace(vg::test::read_bytes(folder / "m.json"), std::regex(",\\s*\"crc32\": \\d+\\s*\\}\\s*$"), "}");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    folder.write("bad.json", text);
    return message([&] { load_model(folder / "bad.json"); });
  };
  CHECK(with("\"version\"", "\"version\"") == "nothing was thrown");
  CHECK_THAT(with("\"out_channels\": 4", "\"out_channels\": 1000000000"),
             Contains("[Conv3d] parameters: the description needs 54000000000 values; the file holds "));
  CHECK_THAT(with("\"in_size\": [4, 4, 4, 4]", "\"in_size\": [4, 4, 4, 2000000000]"),
             Contains("[BatchNorm3d] parameters: the description needs 4000000000 values, 216 others before them"));
  CHECK_THAT(with("\"out_features\": 3", "\"out_features\": 4"),
             Contains("state \"layers.3.weight\", leaf \"weight\": the file has f32 (4, 3), the model f32 (4, 4)"));
  CHECK_THAT(with("\"out_features\": 3", "\"out_features\": -3"), Contains("[Linear] out_features: got -3"));
  CHECK_THAT(with("\"out_features\": 3", "\"out_features\": 3.0"),
             Contains("[Linear] out_features: the description has a value of another type; must be an integer"));
  CHECK_THAT(with("\"out_features\": 3,", ""), Contains("[Linear] out_features: the description has no such option"));
  CHECK_THAT(with("\"out_features\": 3", "\"out_features\": 3, \"new\": true"),
             Contains("option \"new\": the file has true, the model no such option"));
  CHECK(with("\"affine\": true,", "") == "nothing was thrown");  // it keeps its default
  CHECK_THAT(with("\"affine\": true", "\"affine\": false"), Contains("the file has 2 leaves") || Contains("bias"));
  CHECK_THAT(with("\"Sequential\"", "\"system\""), Contains("kind: \"system\" is not registered"));
  CHECK_THAT(with("\"padding\": \"SAME\"", "\"padding\": [1, 2]"), Contains("[Conv3d] padding: the description has 2"));
  CHECK_THAT(with("\"w_mask\": \"None\"", "\"w_mask\": \"array f32 (4,)\""), Contains("no \"w_mask_values\""));
  CHECK_THAT(with("\"layers.1\": {", "\"layer.1\": {"), Contains("module \"layer.1\": the file has a \"BatchNorm3d\""));
  random::Generator generator;
  Checkpoint().generator(generator).save(folder / "none.json");
  CHECK_THAT(message([&] { load_model(folder / "none.json"); }), Contains("the file holds no model"));

  auto shared = std::make_shared<Linear>(LinearOptions{.in_size = {3}, .out_features = 3});
  Sequential twice;
  twice.push_back(shared);
  twice.push_back(shared);
  save(twice, folder / "twice.json");
  CHECK_THAT(message([&] { load_model(folder / "twice.json"); }), Contains("missing: state \"layers.1.weight\""));
}
