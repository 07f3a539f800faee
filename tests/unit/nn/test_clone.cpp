// vg::clone: an independent copy of layers, nets and users' modules.
#include <catch2/catch.hpp>

#include "support/checkpoint_run.hpp"
#include "support/message_of.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/layers/zoo/zoo.hpp"
#include "voxgrad/optim/optim.hpp"

using namespace vg;
using Catch::Contains;
using vg::test::message_of;

namespace {

Linear linear(std::int64_t in = 2, std::int64_t out = 2) { return Linear({.in_size = {in}, .out_features = out}); }

// Checks that a copy has everything of the model: bits, modes, frozen flags, description.
void check_same(Module& a, Module& b) {
  CHECK(a.kind() == b.kind());
  CHECK(vg::test::bits(a) == vg::test::bits(b));
  const States sa = a.states(), sb = b.states();
  REQUIRE(sa.size() == sb.size());
  for (const auto& [path, state] : sa) {
    const State& other = sb.at(path);
    CHECK_FALSE(state.is(other));
    CHECK(state.kind() == other.kind());
    CHECK(state.tag() == other.tag());
    for (const std::string& leaf : state.leaves()) {
      CHECK(state.frozen(leaf) == other.frozen(leaf));
      CHECK(state[leaf].requires_grad() == other[leaf].requires_grad());
      if (state[leaf].numel() != 0) CHECK(state[leaf].value().raw() != other[leaf].value().raw());
    }
  }
  const std::function<void(const ModuleConfig&, const ModuleConfig&)> compare = [&](const ModuleConfig& c,
                                                                                    const ModuleConfig& d) {
    CHECK(c.kind == d.kind);
    CHECK(c.options.size() == d.options.size());
    REQUIRE(c.children.size() == d.children.size());
    for (std::size_t i = 0; i < c.children.size(); ++i) compare(c.children[i].second, d.children[i].second);
  };
  compare(a.description(), b.description());
}

// A user's module with all kinds of members; it has no default constructor and is not registered.
struct Stem : Module {
  ParamState scale{"stem"};
  double power;
  explicit Stem(double p) : power(p) { scale.add("value", Tensor::full({2}, p)); }
  Variable update(Variable x) override { return x * scale["value"] * power; }
  void visit(Visitor& v) override { v("scale", scale); }
  std::string kind() const override { return "Stem"; }
};

struct Net : Module {
  Stem stem;
  std::vector<Linear> layers;
  std::optional<Dropout> drop;
  std::shared_ptr<Stem> held;
  Sequential body;
  std::function<Variable(const Variable&)> last;  // plain members are copied as they are
  explicit Net(double p)
      : stem(p),
        held(std::make_shared<Stem>(p + 1)),
        body(linear(), Stem(p + 2), ReLU()),
        last([](const Variable& x) { return tanh(x); }) {
    layers.push_back(linear());
    layers.push_back(linear());
    drop.emplace(DropoutOptions{.keep_prob = 0.5, .seed = 4});
  }
  Variable update(Variable x) override {
    Variable y = (*held)(stem(x));
    for (Linear& l : layers) y = l(y);
    return last(body[1](body[0]((*drop)(y))));
  }
  void visit(Visitor& v) override {
    v("stem", stem);
    v("layers", layers);
    v("drop", drop);
    v("held", held);
    v("body", body);
  }
  std::string kind() const override { return "Net"; }
};

const Variable x(Tensor::ones({1, 2}));

}  // namespace

TEST_CASE("clone: a user's module by value, with everything that it contains") {
  register_clone<Stem>();  // Net has one in a Sequential and one by pointer
  Net net(1.5);
  net.train();
  net.body[0].eval();
  net.freeze("layers.1");
  sum(net(x)).backward();
  const random::Key drawn = random::default_generator().key();
  auto teacher = clone(net);
  static_assert(std::is_same_v<decltype(teacher), Net>);
  CHECK(random::default_generator().key() == drawn);
  check_same(net, teacher);
  CHECK(teacher.training());
  CHECK_FALSE(teacher.body[0].training());
  CHECK(teacher.held != net.held);
  CHECK(teacher.held->power == 2.5);
  CHECK_FALSE(teacher.stem.scale["value"].grad().defined());
  // The same random stream at the same position.
  CHECK(vg::test::bytes_of(teacher(x).value()) == vg::test::bytes_of(net(x).value()));

  // Training one does not change the other.
  const auto before = vg::test::bits(teacher);
  SGD optimizer(net.parameters(), {.lr = 0.1});
  sum(net(x)).backward();
  optimizer.step();
  CHECK(vg::test::bits(teacher) == before);
  SGD own(teacher.parameters(), {.lr = 0.1});
  const auto of_net = vg::test::bits(net);
  sum(teacher(x)).backward();
  own.step();
  CHECK(vg::test::bits(net) == of_net);
}

TEST_CASE("clone: through a reference to Module, and in a Sequential") {
  Net net(1);
  Module& any_net = net;
  const auto unknown = message_of([&] { (void)clone(any_net); });
  CHECK_THAT(unknown,
             Contains("[clone] the model (Net): its type is not registered") && Contains("vg::register_clone"));
  Sequential holds(linear(), Net(2));
  CHECK_THAT(message_of([&] { (void)clone(holds); }),
             Contains("[clone] \"layers.1\" (Net): its type is not registered"));
  register_clone<Net>();
  register_clone<Stem>();  // Net has one in its body and one by pointer
  register_clone<Stem>();
  const std::unique_ptr<Module> copy = clone(any_net);
  REQUIRE(dynamic_cast<Net*>(copy.get()) != nullptr);
  check_same(net, *copy);
  auto other = clone(holds);
  check_same(holds, other);
  CHECK(other.get<Net>(1).body.get<Stem>(1).power == 4);
}

TEST_CASE("clone: layers and nets of the zoo") {
  const std::unique_ptr<Module> nets[] = {
      std::make_unique<Sequential>(zoo::UNet3d({.in_size = {8, 8, 8, 1}, .out_channels = 2, .features = {2, 3}})),
      std::make_unique<Sequential>(
          zoo::ResNet3d({.in_size = {8, 8, 8, 1}, .classes = 2, .blocks = {1, 1}, .widths = {4, 6}})),
      std::make_unique<Sequential>(
          Conv3d({.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 3, .w_mask = init::Constant(0.5)}),
          SqueezeExcite3d({.reduction = 1}), PReLU(), Dropout()),
      std::make_unique<Conv3d>(Conv3dOptions{.out_channels = 2, .kernel_size = 3})};  // not built
  for (const auto& net : nets) {
    net->train();
    const auto copy = clone(*net);
    check_same(*net, *copy);
    if (net->in_size().empty()) continue;
    std::vector<std::int64_t> shape = net->in_size();
    shape.insert(shape.begin(), 1);
    const Variable in(random::normal(random::key_of(2), Shape(shape)));
    random::Generator a(1), b(1);
    Tensor ya, yb;
    {
      const random::GeneratorGuard scope(a);
      ya = (*net)(in).value();
    }
    {
      const random::GeneratorGuard scope(b);
      yb = (*copy)(in).value();
    }
    CHECK(vg::test::bytes_of(ya) == vg::test::bytes_of(yb));
  }
}

TEST_CASE("clone: parts that the original shares are shared within the copy only") {
  Sequential tied(linear(), Tanh(), linear());
  tied.get<Linear>(2).weight = tied.get<Linear>(0).weight;
  Sequential copy = clone(tied);
  CHECK(copy.get<Linear>(0).weight.is(copy.get<Linear>(2).weight));
  CHECK_FALSE(copy.get<Linear>(0).weight.is(tied.get<Linear>(0).weight));
  auto layer = std::make_shared<Linear>(LinearOptions{.in_size = {2}, .out_features = 2});
  Sequential twice(layer, ReLU(), layer);
  Sequential again = clone(twice);
  CHECK(again.at(0) == again.at(2));
  CHECK(again.at(0) != layer);
}

TEST_CASE("clone: a module that cannot be copied says so, and a plain copy is refused") {
  // A raw pointer into the original.
  struct Points : Module {
    Linear own = linear();
    Linear* other = &own;
    Variable update(Variable v) override { return (*other)(v); }
    void visit(Visitor& v) override { v("own", own), v("other", *other); }
  } points;
  const auto before = vg::test::bits(points);
  CHECK_THAT(message_of([&] { (void)clone(points); }),
             Contains("[clone] \"other\": the copy refers to the original's"));
  CHECK(vg::test::bits(points) == before);

  struct Derived : Sequential {
    Derived() : Sequential(linear()) {}
    std::string kind() const override { return "Derived"; }
  } derived;
  const Sequential& base = derived;
  CHECK_THAT(message_of<TypeError>([&] { (void)clone(base); }), Contains("Derived"));

  const Linear plain = linear();
  CHECK_THAT(message_of([&] { const Linear copy(plain); }),
             Contains("[Linear] copy: a module is not copied") && Contains("vg::clone"));
  std::vector<Linear> grows;  // moves its elements
  for (int i = 0; i < 5; ++i) grows.push_back(linear());
  static_assert(
      std::is_nothrow_move_constructible_v<Conv3d> && std::is_nothrow_move_constructible_v<Linear> &&
      std::is_nothrow_move_constructible_v<BatchNorm3d> && std::is_nothrow_move_constructible_v<Sequential> &&
      std::is_nothrow_move_constructible_v<Dropout> && std::is_nothrow_move_constructible_v<ResidualBlock3d> &&
      std::is_nothrow_move_constructible_v<ConvTranspose3d> && std::is_nothrow_move_constructible_v<Branches>);
}
