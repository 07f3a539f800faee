// Fields: checks, stored form, loading and listing derive from one list of members.
#include <catch2/catch.hpp>
#include <limits>

#include "support/message_of.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using Catch::Matchers::Contains;
using vg::test::message_of;

namespace {

struct AllOptions {
  bool flag = true;
  std::int64_t count = 0;
  double rate = 0.5;
  std::string mode = "a";
  std::vector<std::int64_t> list{1, 2};
  std::vector<double> reals{};
  int axis = -1;
  std::vector<int> axes{0};
  std::optional<std::int64_t> number{};
  std::optional<double> limit = 2.0;
  std::optional<std::uint64_t> seed{};
  std::string note{};
  double only_in_b = 3;
  TripleArg extent{};
  Padding padding{};
  Initializer init = init::Constant(2);

  void fields(Fields& f) {
    f("flag", flag);
    f("count", count, at_least(1));
    f("rate", rate, from_0_below_1);
    f("mode", mode, {"a", "b", "c"});
    f("list", list);
    f("reals", reals);
    f("axis", axis);
    f("axes", axes);
    f("number", number, within(2, 3));
    f("limit", limit, positive);
    f.seed("seed", seed);
    f.if_given("note", note);
    f.when(mode == "b", "only_in_b", only_in_b);
    f("extent", extent);
    f("padding", padding);
    f("init", init);
    if (f.checking() && flag && count > 5) f.refuse("flag, count", "got both");
  }
};

AllOptions good() {
  AllOptions o;
  o.count = 1;
  o.extent = 2;
  o.padding = 1;
  return o;
}

template <class Change>
std::string refused(Change change) {
  AllOptions o = good();
  change(o);
  return message_of<Error>([&] { check_fields("All x", o); });
}

ModuleConfig stored(const AllOptions& o) { return {"All", saved_fields(o), {}}; }

}  // namespace

TEST_CASE("fields: a value that is not allowed is refused by name") {
  AllOptions o = good();
  check_fields("All x", o);
  CHECK(o.extent.entries() == std::vector<std::int64_t>{2, 2, 2});
  CHECK(refused([](AllOptions& a) { a.count = 0; }) == "[All x] count: got 0; must be at least 1");
  CHECK(refused([](AllOptions& a) { a.rate = 1; }) == "[All x] rate: got 1; must be in [0, 1)");
  CHECK(refused([](AllOptions& a) { a.rate = std::numeric_limits<double>::quiet_NaN(); }) ==
        "[All x] rate: got nan; must be in [0, 1)");
  CHECK(refused([](AllOptions& a) { a.mode = "d"; }) == "[All x] mode: got \"d\"; must be \"a\", \"b\" or \"c\"");
  CHECK(refused([](AllOptions& a) { a.number = 4; }) == "[All x] number: got 4; must be in [2, 3]");
  CHECK(refused([](AllOptions& a) { a.limit = 0.0; }) == "[All x] limit: got 0; must be positive");
  CHECK(refused([](AllOptions& a) { a.axis = 99; }) == "[All x] axis: got 99; must be an axis");
  CHECK(refused([](AllOptions& a) { a.count = 6; }) == "[All x] flag, count: got both");
  CHECK_THAT(refused([](AllOptions& a) { a.extent = {}; }), Contains("[All x] extent: got 0 entries"));
  CHECK_THAT(refused([](AllOptions& a) { a.padding = "FULL"; }), Contains("[All x] padding: got \"FULL\""));
}

TEST_CASE("fields: the stored form comes back, and options that are missing keep their defaults") {
  AllOptions o = good();
  o.mode = "b";
  o.only_in_b = 7;
  o.number = 2;
  o.limit.reset();
  o.seed = 5;
  o.note = "n";
  o.reals = {0.5};
  check_fields("All", o);
  const Attributes saved = saved_fields(o);
  std::string names;
  for (const auto& [name, value] : saved) names += name + " ";
  CHECK(names == "flag count rate mode list reals axis axes number random note only_in_b extent padding init ");
  AllOptions back = loaded_fields<AllOptions>({"All", saved, {}});
  CHECK(saved_fields(back) == saved);
  CHECK(back.limit == std::nullopt);
  CHECK(back.only_in_b == 7);
  CHECK(back.init.str() == "Constant(2)");

  const AllOptions defaults = loaded_fields<AllOptions>(
      {"All",
       {{"count", std::int64_t{3}}, {"extent", std::vector<std::int64_t>{4}}, {"padding", std::string("SAME")}},
       {}});
  CHECK(defaults.count == 3);
  CHECK(defaults.rate == 0.5);
  CHECK(defaults.list == std::vector<std::int64_t>{1, 2});
  CHECK(defaults.padding.mode() == Padding::Mode::same);
}

TEST_CASE("fields: a description of another type, or without a required option, is refused by name") {
  const auto load = [](std::string_view name, const std::optional<Value>& value) {
    ModuleConfig d = stored(good());
    std::erase_if(d.options, [&](const auto& entry) { return entry.first == name; });
    if (value) d.options.emplace_back(std::string(name), *value);
    return message_of([&] { loaded_fields<AllOptions>(d); });
  };
  CHECK(load("count", {}) == "[All] count: the description has no such option; must be an integer");
  CHECK(load("count", 1.5) == "[All] count: the description has a value of another type; must be an integer");
  CHECK(load("flag", 1.5) == "[All] flag: the description has a value of another type; must be true or false");
  CHECK(load("extent", {}) == "[All] extent: the description has no such option; must be a list of integers");
  CHECK(load("axes", std::vector<std::int64_t>{40}) == "[All] axes: got 40; must be an axis");
  CHECK_THAT(load("padding", std::vector<std::int64_t>{1}), Contains("[All] padding: the description has 1 numbers"));
  CHECK(load("rate", {}) == "nothing was thrown");
}

TEST_CASE("fields: the list of a table has the defaults and the required options") {
  std::string text;
  for (const FieldInfo& f : listed_fields<AllOptions>()) text += f.name + (f.required ? "! " : "=" + f.value + " ");
  CHECK(text ==
        "flag=true count! rate=0.5 mode=\"a\" list={1, 2} reals= axis=-1 axes={0} number= limit=2 seed= note= "
        "only_in_b=3 extent! padding! init=Constant(2) ");
}
