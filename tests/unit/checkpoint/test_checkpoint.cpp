// Checkpoints: every bit is restored; a file that does not fit is refused with a list of differences and changes
// nothing.
#include <bit>
#include <catch2/catch.hpp>
#include <clocale>
#include <limits>
#include <locale>
#include <nlohmann/json.hpp>
#include <random>

#include "support/checkpoint_run.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"

using Catch::Matchers::Contains;
using namespace vg::test;

namespace {

void round_trip(const vg::Tensor& t) {
  const TempDir folder;
  Holder from(t), to(vg::Tensor::zeros(t.shape(), t.dtype()));
  for (const auto encoding : {vg::Encoding::decimal, vg::Encoding::base64}) {
    to.state.set("value", vg::Tensor::zeros(t.shape(), t.dtype()));
    vg::save(from, folder / "m.json", {.encoding = encoding, .allow_nan = true});
    vg::load(to, folder / "m.json");
    const bool same = bytes_of(to.state["value"].value()) == bytes_of(t);
    CHECK(same);
  }
}

}  // namespace

TEST_CASE("checkpoint: every float is restored bit for bit") {
  std::vector<std::uint32_t> special = {0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000,
                                        0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000,
                                        0x7fc00001, 0x7f800001, 0xff800001, 0x7fffffff, 0x3f800000, 0x3dcccccd};
  round_trip(of_bits<float>(special));
  std::mt19937 draw(1);
  std::vector<std::uint32_t> words(std::size_t{1} << 20);
  for (auto& w : words) w = static_cast<std::uint32_t>(draw());
  for (std::size_t i = 0; i < words.size(); i += 16) words[i] |= 0x7f800000;  // more NaNs than random bits have
  round_trip(of_bits<float>(words));
}

TEST_CASE("checkpoint: every double and integer is restored bit for bit") {
  const std::uint64_t sign = std::uint64_t{1} << 63, inf = 0x7ff0000000000000, nan = 0x7ff8000000000000;
  round_trip(of_bits<double>({0, sign, 1, sign | 1, 0x000fffffffffffff, 0x0010000000000000, inf - 1, inf, inf | sign,
                              nan, nan | sign, nan | 5, inf | 1, 0x3fb999999999999a, 0x4340000000000001,
                              0x43e0000000000000, 0xc3e0000000000000, 0x43f0000000000000}));
  std::mt19937_64 draw(2);
  std::vector<std::uint64_t> words(std::size_t{1} << 17);
  for (auto& w : words) w = draw();
  for (std::size_t i = 0; i < words.size(); i += 16) words[i] |= inf;
  round_trip(of_bits<double>(words));
  round_trip(vg::Tensor::of<std::int32_t>(
      {5}, {0, -1, 1, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()}));
}

namespace {

// One state of each kind.
struct AllKinds : vg::Module {
  vg::State plain;
  vg::ShortTermState brief;
  vg::HiddenState hidden;
  vg::LongTermState lasting;
  vg::ParamState trained;
  vg::BatchState kept;
  vg::RandomState drawn{3};

  explicit AllKinds(float fill) {
    for (vg::State* s : std::initializer_list<vg::State*>{&plain, &brief, &hidden, &lasting, &trained, &kept})
      s->add("v", vg::Tensor::full({2}, fill++));
  }
  vg::Variable update(vg::Variable x) override { return x; }
  std::string kind() const override { return "AllKinds"; }
  void visit(vg::Visitor& v) override {
    v("plain", plain);
    v("brief", brief);
    v("hidden", hidden);
    v("lasting", lasting);
    v("trained", trained);
    v("kept", kept);
    v("drawn", drawn);
  }
};

}  // namespace

TEST_CASE("checkpoint: states of all kinds are saved under their names, and only parameters are trained") {
  const TempDir folder;
  AllKinds from(1), to(11);
  from.drawn.next();
  vg::save(from, folder / "m.json");
  vg::load(to, folder / "m.json");
  CHECK(bits(to) == bits(from));
  const auto document = vg::checkpoint::read(folder / "m.json");
  std::vector<std::string> kinds;
  for (const auto& [path, state] : document.model->states) kinds.push_back(state.kind);
  CHECK(kinds == std::vector<std::string>{"State", "ShortTermState", "HiddenState", "LongTermState", "ParamState",
                                          "BatchState", "RandomState"});
  const auto paths = [&](vg::StateKind kind) {
    std::vector<std::string> found;
    for (const auto& [path, state] : to.states(kind)) found.push_back(path);
    return found;
  };
  using Paths = std::vector<std::string>;
  CHECK(paths(vg::StateKind::state).size() == 7);
  CHECK(paths(vg::StateKind::short_term) == Paths{"brief", "hidden"});
  CHECK(paths(vg::StateKind::hidden) == Paths{"hidden"});
  CHECK(paths(vg::StateKind::long_term) == Paths{"lasting", "trained", "kept"});
  CHECK(paths(vg::StateKind::random) == Paths{"drawn"});
  for (const auto& [path, state] : to.states())
    for (const std::string& leaf : state.leaves()) CHECK(state[leaf].requires_grad() == (path == "trained"));
}

TEST_CASE("checkpoint: shapes without values and without axes") {
  round_trip(vg::Tensor::scalar(2.5));
  round_trip(vg::Tensor::zeros({0}));
  round_trip(vg::Tensor::zeros({3, 0, 2}, vg::f64));
  round_trip(vg::Tensor::ones({1, 1, 1, 1, 1, 1, 1, 9}));
}

TEST_CASE("checkpoint: values keep their type and bits") {
  const TempDir folder;
  const double inf = std::numeric_limits<double>::infinity();
  const auto nan = std::bit_cast<double>(std::uint64_t{0xfff8000000000003});
  vg::checkpoint::Document document;
  document.progress = {{"yes", true},
                       {"no", false},
                       {"int", 7},
                       {"least", std::numeric_limits<std::int64_t>::min()},
                       {"most", std::numeric_limits<std::int64_t>::max()},
                       {"whole", 2.0},
                       {"huge", 1e300},
                       {"twenty", 1e20},
                       {"tiny", 5e-324},
                       {"zero", -0.0},
                       {"nan", nan},
                       {"inf", -inf},
                       {"text", "quote \" backslash \\ line\nend \x01 é 世"},
                       {"empty text", ""},
                       {"", "empty key"},
                       {"nan text", "nan"},
                       {"ints", std::vector<std::int64_t>{1, -2}},
                       {"no ints", std::vector<std::int64_t>{}},
                       {"reals", std::vector<double>{1, -0.0, 0.1}},
                       {"odd reals", std::vector<double>{1, inf, nan}},
                       {"no reals", std::vector<double>{}},
                       {"texts", std::vector<std::string>{"a", "inf"}},
                       {"no texts", std::vector<std::string>{}},
                       {"many", std::vector<double>(100, 0.25)}};
  document.generator = vg::random::Key{0xffffffff, 7};
  vg::checkpoint::write(document, folder / "v.json");
  const auto back = vg::checkpoint::read(folder / "v.json");
  REQUIRE(back.progress.size() == document.progress.size());
  CHECK(back.generator == document.generator);
  for (std::size_t i = 0; i < back.progress.size(); ++i) {
    const auto& [name, was] = document.progress[i];
    INFO(name);
    CHECK(back.progress[i].first == name);
    REQUIRE(back.progress[i].second.index() == was.index());
    const auto equal = [](double a, double b) {
      return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
    };
    if (const auto* x = std::get_if<double>(&was))
      CHECK(equal(*x, std::get<double>(back.progress[i].second)));
    else if (const auto* xs = std::get_if<std::vector<double>>(&was)) {
      const auto& ys = std::get<std::vector<double>>(back.progress[i].second);
      CHECK(std::equal(xs->begin(), xs->end(), ys.begin(), ys.end(), equal));
    } else
      CHECK(back.progress[i].second == was);
  }
}

TEST_CASE("checkpoint: a whole run is saved and continues") {
  const TempDir folder;
  Net net(2);
  Part optimizer, history;
  vg::random::Generator generator(42);
  optimizer.step = 120;
  optimizer.momentum = vg::Tensor::of<float>({3}, {1, 2, 3});
  history.step = 5;
  net.a.stream.next();
  vg::Checkpoint saved;
  saved.model(net).optimizer(optimizer).generator(generator).part("history", history);
  saved.progress = {{"step", 120}, {"best", 0.25}, {"note", "second run"}};
  saved.save(folder / "run.json");

  Net other(9);
  Part other_optimizer, other_history;
  vg::random::Generator other_generator(1);
  vg::Checkpoint loaded;
  loaded.progress = {{"forgotten", true}};
  loaded.model(other).optimizer(other_optimizer).generator(other_generator).part("history", other_history);
  loaded.load(folder / "run.json");
  CHECK(bits(other) == bits(net));
  CHECK(other_optimizer.step == 120);
  CHECK(bytes_of(other_optimizer.momentum) == bytes_of(optimizer.momentum));
  CHECK(other_history.step == 5);
  CHECK(other_generator.key() == generator.key());
  CHECK(loaded.progress == saved.progress);
  CHECK(loaded.value<std::int64_t>("step") == 120);
  CHECK(loaded.value<std::string>("note") == "second run");
  CHECK_THROWS_AS(loaded.value<double>("step"), vg::ValueError);

  SECTION("the same state is the same file") {
    loaded.save(folder / "again.json");
    CHECK(read_bytes(folder / "again.json") == read_bytes(folder / "run.json"));
    loaded.save(folder / "again.json");
    CHECK(read_bytes(folder / "again.json") == read_bytes(folder / "run.json"));
  }
  SECTION("a model alone is taken out of it") {
    Net third(4);
    vg::load(third, folder / "run.json");
    CHECK(bits(third) == bits(net));
  }
  SECTION("loading is not seen by a graph recorded before, and drops gradients") {
    const vg::Variable before = other.a.weight["weight"];
    const std::string old = bytes_of(before.value());
    other.a.weight.set_grad("weight", vg::Tensor::ones({2, 3}));
    vg::save(net, folder / "m.json");
    net.a.weight.writable("weight").data<float>()[0] = 77;
    vg::save(net, folder / "n.json");
    vg::load(other, folder / "n.json");
    CHECK(bytes_of(before.value()) == old);
    CHECK(bits(other) == bits(net));
    CHECK_FALSE(other.a.weight["weight"].grad().defined());
  }
}

TEST_CASE("checkpoint: the file is the documented JSON") {
  const TempDir folder;
  Holder holder(of_bits<float>(
      {0x3dcccccd, 0x80000000, 0x7fc00000, 0x7fc00001, 0xff800000, 0x3f800000, 0x00000001, 0x7f7fffff, 0x4b800000}));
  vg::random::Generator generator(3);
  vg::Checkpoint checkpoint;
  checkpoint.model(holder).generator(generator);
  checkpoint.progress = {{"step", 3}, {"loss", 2.0}, {"gap", std::vector<double>{}}};
  checkpoint.save(folder / "m.json", {.allow_nan = true});
  CHECK(read_bytes(folder / "m.json") == R"({
  "format": "voxgrad-checkpoint",
  "version": 3,
  "progress": {
    "step": 3,
    "loss": 2.0,
    "gap": {"f64": []}
  },
  "generator": {
    "algorithm": "threefry2x32",
    "key": [0, 3]
  },
  "model": {
    "description": {
      "kind": "Holder"
    },
    "states": {
      "state": {
        "kind": "BatchState",
        "leaves": {
          "value": {
            "dtype": "f32",
            "shape": [9],
            "crc32": 2717812990,
            "values": [
              0.1, -0.0, "nan", "nan:0x7fc00001", "-inf", 1, 1e-45, 3.4028235e+38,
              16777216
            ]
          }
        }
      }
    }
  },
  "crc32": 2585911596
}
)");
  const auto json = nlohmann::json::parse(read_bytes(folder / "m.json"));
  auto ordered = nlohmann::ordered_json::parse(read_bytes(folder / "m.json"));
  const auto& values = json["model"]["states"]["state"]["leaves"]["value"]["values"];
  CHECK(values[0].get<float>() == 0.1f);
  CHECK(values[7].get<float>() == std::numeric_limits<float>::max());
  Holder back(vg::Tensor::zeros({9}));
  folder.write("ordered.json", ordered.dump());  // spacing of another writer, so the checksum of the file is wrong
  CHECK_THAT(message([&] { vg::load(back, folder / "ordered.json"); }),
             Contains("at $.crc32: the CRC-32 of all bytes before it is") && Contains("says 2585911596"));
  ordered.erase("crc32");
  folder.write("sorted.json", nlohmann::json(ordered).dump());
  CHECK_THAT(message([&] { vg::load(back, folder / "sorted.json"); }),
             Contains("got the key \"generator\"; \"version\" must come before it"));
  folder.write("ordered.json", ordered.dump());
  vg::load(back, folder / "ordered.json");
  CHECK(bits(back) == bits(holder));
}

TEST_CASE("checkpoint: decimal text is rounded once") {
  const TempDir folder;
  const auto read = [&](const std::string& values, const std::string& dtype) {
    const std::string before = R"({"format": "voxgrad-checkpoint", "version": 1, "model": {"description": {"kind": "M"},
      "states": {"s": {"kind": "k", "leaves": {"v": {"dtype": ")";
    folder.write("m.json", before + dtype + R"(", "shape": [1], "values": [)" + values + "]}}}}}}");
    return vg::checkpoint::read(folder / "m.json").model->states[0].second.leaves[0].second;
  };
  // This decimal is just below the midpoint of two floats. As a double it is the midpoint, which rounds the other way.
  CHECK(std::bit_cast<std::uint32_t>(read("1.00000017881393432617187499", "f32").data<float>()[0]) == 0x3f800001);
  CHECK(std::bit_cast<std::uint32_t>(read("-0", "f32").data<float>()[0]) == 0x80000000);
  CHECK(read("1E2", "f32").data<float>()[0] == 100.0f);
  CHECK(read("1e-60", "f32").data<float>()[0] == 0.0f);
  CHECK(std::bit_cast<std::uint32_t>(read("8e-46", "f32").data<float>()[0]) == 1);
  CHECK(read("123456789012345678901234567890", "f32").data<float>()[0] == 123456789012345678901234567890.0f);
  CHECK(read("9007199254740993", "f64").data<double>()[0] == 9007199254740992.0);
  CHECK(read("-2147483648", "i32").data<std::int32_t>()[0] == std::numeric_limits<std::int32_t>::min());
}

TEST_CASE("checkpoint: a comma locale changes nothing") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  const char* found = nullptr;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "de_DE", "ps_AF.UTF-8"})
    if (found == nullptr) found = std::setlocale(LC_ALL, name);
  if (found == nullptr) WARN("no comma locale is installed; the C++ locale only");
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::locale was = std::locale::global(std::locale(std::locale(), new Comma));
  if (found != nullptr) std::setlocale(LC_ALL, found);
  round_trip(vg::Tensor::of<float>({3}, {1.5f, 123456.789f, -1e-30f}));
  round_trip(vg::Tensor::of<double>({3}, {1.5, 123456.789, -1e-300}));
  const TempDir folder;
  vg::Checkpoint checkpoint;
  vg::random::Generator generator;
  checkpoint.generator(generator).progress = {{"x", 1234.5}, {"n", 1234567}};
  checkpoint.save(folder / "c.json");
  CHECK_THAT(read_bytes(folder / "c.json"), Contains("1234.5,") && Contains("1234567\n"));
  checkpoint.load(folder / "c.json");
  CHECK(checkpoint.value<double>("x") == 1234.5);
  std::locale::global(was);
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("checkpoint: all differences are listed, and nothing changes") {
  const TempDir folder;
  Net net(2);
  Part optimizer;
  vg::random::Generator generator(3);
  vg::Checkpoint all;
  all.model(net).optimizer(optimizer).generator(generator).part("loader", optimizer);
  all.save(folder / "all.json");

  SECTION("states, descriptions and parts") {
    Net other(5, 4);
    other.a.kind_ = "Tall";
    other.b.options_ = {{"rate", 0.25}, {"extra", std::vector<std::int64_t>{1, 2}}};
    other.a.weight.add("scale", vg::Tensor::ones({1}));
    other.b.stats.replace("mean", vg::Tensor::scalar(1, vg::f64));
    const auto before = bits(other);
    Part part;
    vg::Checkpoint some;
    some.progress = {{"kept", true}};
    some.model(other).part("history", part);
    const std::string said = message([&] { some.load(folder / "all.json"); });
    CHECK_THAT(said, Contains("ValueError [checkpoint] load: ") &&
                         Contains("all.json does not fit and nothing was loaded; 14 problems"));
    for (const char* part_of_it :
         {"state \"a.weight\", leaf \"weight\": the file has f32 (2, 3), the model f32 (2, 4)",
          "state \"a.weight\", leaf \"bias\": the file has f64 (3,), the model f64 (4,)",
          "missing: state \"a.weight\", leaf \"scale\" (f32 (1,)) is in the model, not in the file",
          "state \"b.weight\", leaf \"weight\"",
          "state \"b.stats\", leaf \"mean\": the file has f32 (), the model f64 (); call to(vg::f32) of the model "
          "before the load, and to(vg::f64) after it",
          "description of module \"a\": the file has the kind \"Layer\", the model \"Tall\"",
          "description of module \"b\", option \"rate\": the file has 0.5, the model 0.25",
          "option \"size\": the file has 3, the model no such option",
          "option \"extra\": the file has none, the model [1, 2]", "check_description = false",
          "unexpected: the file holds optimizer", "missing: the file holds no part \"history\"",
          "unexpected: the file holds part \"loader\""})
      CHECK_THAT(said, Contains(part_of_it));
    CHECK(bits(other) == before);
    CHECK(some.value<bool>("kept"));
  }
  SECTION("other modules and states") {
    Holder other(vg::Tensor::ones({2}));
    const std::string said = message([&] { vg::load(other, folder / "all.json"); });
    CHECK_THAT(
        said,
        Contains(
            "unexpected: state \"a.weight\" (weight f32 (2, 3), bias f64 (3,)) is in the file, not in the model") &&
            Contains("missing: state \"state\" (value f32 (2,)) is in the model, not in the file") &&
            Contains("description of the model: the file has the kind \"Net\", the model \"Holder\""));
    CHECK(other.state["value"].value().values() == std::vector<double>{1, 1});
  }
  SECTION("only the description differs") {
    Net other(5);
    other.a.options_ = {{"size", 3}, {"rate", 0.75}};
    const auto before = bits(other);
    CHECK_THROWS_AS(vg::load(other, folder / "all.json"), vg::ValueError);
    CHECK(bits(other) == before);
    vg::load(other, folder / "all.json", {.check_description = false});
    CHECK(bits(other) == bits(net));
  }
  SECTION("a part refuses, or throws from its check") {
    Net other(5);
    const auto before = bits(other);
    Part bad;
    bad.step = -1;
    vg::Checkpoint two;
    two.model(other).optimizer(bad).generator(generator).part("loader", bad);
    two.save(folder / "bad.json");
    CHECK_THAT(message([&] { two.load(folder / "bad.json"); }),
               Contains("optimizer: step: got a negative one") && Contains("part \"loader\": so nothing fits"));
    std::string text = read_bytes(folder / "all.json");
    for (std::size_t at; (at = text.find("\"step\"")) != std::string::npos;) text.replace(at, 6, "\"stop\"");
    text.erase(text.rfind(",\n  \"crc32\""), std::string::npos);
    text += "}";
    folder.write("bad.json", text);
    CHECK_THAT(message([&] { two.load(folder / "bad.json"); }),
               Contains("part \"loader\": [state] value \"step\" is missing"));
    CHECK(bits(other) == before);
  }
  SECTION("a part that throws while loading, against its promise") {
    Net other(5);
    Part good, bad;
    good.step = 77;
    bad.throws = true;
    other.a.weight.set_grad("weight", vg::Tensor::ones({2, 3}));
    const auto before = bits(other);
    vg::random::Generator kept(8);
    vg::Checkpoint two;
    two.model(other).optimizer(good).generator(kept).part("loader", bad);
    CHECK_THROWS_WITH(two.load(folder / "all.json"), "the part gave up");
    CHECK(bits(other) == before);
    CHECK(other.a.weight["weight"].grad().defined());
    CHECK(good.step == 77);
    CHECK(kept.key() == vg::random::Generator(8).key());
  }
  SECTION("no model") {
    vg::Checkpoint().generator(generator).save(folder / "none.json");
    CHECK_THAT(message([&] { vg::load(net, folder / "none.json"); }), Contains("missing: the file holds no model"));
    CHECK_THAT(message([&] { vg::Checkpoint().model(net).load(folder / "none.json"); }),
               Contains("missing: the file holds no model"));
  }
}
