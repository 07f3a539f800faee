// Error messages of modules: the position in the net, moved-from modules, submodules that visit() does not name, and a
// model that was never in training mode.
#include <catch2/catch.hpp>

#include <new>
#include <stdexcept>

#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

using namespace vg;
using Catch::Contains;
using Catch::StartsWith;
using vg::test::message_of;
using vg::test::TempDir;

namespace {

struct Throws : Module {
  std::function<void()> action;
  explicit Throws(std::function<void()> f) : action(std::move(f)) {}
  Variable update(Variable x) override { return action(), x; }
  std::string kind() const override { return "Throws"; }
};

Linear linear(std::int64_t in = 2, std::int64_t out = 2) { return Linear({.in_size = {in}, .out_features = out}); }

// Three levels: layers.1.branches.0.layers.1 throws.
Sequential nested(std::function<void()> f) {
  return Sequential(linear(), Branches({}, Sequential(ReLU(), Throws(std::move(f))), Identity()), linear());
}

const Variable x(Tensor::ones({1, 2}));

template <class E, class F>
std::string caught(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  } catch (...) {
    return "another type";
  }
  return "nothing";
}

struct Special : ValueError {
  using ValueError::ValueError;
  int code = 7;
};

}  // namespace

TEST_CASE("errors: an exception within a call names the position in the net and keeps its type") {
  const std::string in = "in layers.1.branches.0.layers.1 (Throws): ";
  Sequential value = nested([] { throw ValueError("[op] a: got b"); });
  CHECK(caught<ValueError>([&] { value(x); }) == in + "[op] a: got b");
  CHECK(caught<ValueError>([&] { value(x); }) == in + "[op] a: got b");  // the position is added once
  Sequential type = nested([] { throw TypeError("[op] a: got b"); });
  CHECK(caught<TypeError>([&] { type(x); }) == in + "[op] a: got b");
  Sequential io = nested([] { throw IoError("cannot read"); });
  CHECK(caught<IoError>([&] { io(x); }) == in + "cannot read");
  Sequential special = nested([] { throw Special("[op] a: got b"); });
  CHECK(caught<Special>([&] { special(x); }) == in + "[op] a: got b");
  // Exceptions of other types pass unchanged.
  Sequential others = nested([] { throw std::out_of_range("beyond"); });
  CHECK(caught<std::out_of_range>([&] { others(x); }) == "beyond");
  Sequential number = nested([] { throw 3; });
  CHECK_THROWS_AS(number(x), int);
  Sequential memory = nested([] { throw std::bad_alloc(); });
  CHECK_THROWS_AS(memory(x), std::bad_alloc);
}

TEST_CASE("errors: the position of ops, of a single layer, and of a user's module") {
  Sequential net(linear(), Sequential(ReLU(), linear()));
  net.get<Sequential>(1).get<Linear>(1).weight.replace("weight", Tensor::ones({3, 2}));
  CHECK_THAT(message_of([&] { net(x); }), StartsWith("in layers.1.layers.1 (Linear): [matmul]"));
  // A single layer: its message names it already.
  Linear alone = linear();
  CHECK_THAT(message_of([&] { alone(Variable(Tensor::ones({1, 3}))); }), StartsWith("[Linear] input: got (1, 3)"));
  // The model's own update.
  struct Own : Module {
    Variable update(Variable v) override { return v + Tensor::ones({1, 3}); }
  } own;
  CHECK_THAT(message_of([&] { own(x); }), Contains("Own: [add]"));
  // An exception that is caught and thrown again later keeps its first message.
  std::exception_ptr kept;
  try {
    net(x);
  } catch (...) {
    kept = std::current_exception();
  }
  Sequential other(Throws([&] { std::rethrow_exception(kept); }));
  CHECK_THAT(message_of([&] { other(x); }), StartsWith("in layers.0 (Throws): [matmul]"));
  // For a submodule that visit() does not name, the message names its caller.
  struct Hides : Module {
    Linear inner = linear(3, 3);
    Variable update(Variable v) override { return inner(v); }
    std::string kind() const override { return "Hides"; }
  };
  Sequential hiding(linear(), Hides());
  CHECK_THAT(message_of([&] { hiding(x); }), StartsWith("in layers.1 (Hides): [Linear] input: got (1, 2)"));
}

TEST_CASE("errors: a moved-from module says so") {
  ParamState state;
  state.add("a", Tensor::ones({2}));
  const ParamState taken = std::move(state);
  CHECK(taken.size() == 1);
  CHECK(state.identity() == nullptr);
  for (const std::function<void()>& use : std::vector<std::function<void()>>{
           [&] { (void)state.size(); }, [&] { (void)state["a"]; }, [&] { (void)state.kind(); },
           [&] { state.add("b", Tensor::ones({1})); }, [&] { (void)state.leaves(); }, [&] { state.zero_grad(); },
           [&] { (void)state.numel(); }, [&] { state.freeze(); }, [&] { (void)state.copy(); }})
    CHECK_THAT(caught<ValueError>(use), Contains("moved from"));

  struct Net : Module {
    Linear a = linear();
    Variable update(Variable v) override { return a(v); }
    void visit(Visitor& v) override { v("a", a); }
    std::string kind() const override { return "Net"; }
  } net;
  Net other = std::move(net);
  const TempDir folder;
  for (const std::function<void()>& use : std::vector<std::function<void()>>{
           [&] { (void)net.parameters(); }, [&] { save(net, folder / "m.json"); }, [&] { net.zero_grad(); },
           [&] { net.to(f64); }, [&] { SGD(net.parameters(), {.lr = 1}); }})
    CHECK_THAT(caught<ValueError>(use), Contains("a.weight: it was moved from"));
  CHECK_THROWS_AS(net(x), ValueError);
  CHECK_NOTHROW(other(x));
  net = std::move(other);  // and back again
  CHECK(net.parameters().numel() == 6);
}

TEST_CASE("errors: a module that visits itself or its parent") {
  struct Selfish : Module {
    Linear a = linear();
    std::shared_ptr<Module> inner;
    bool itself = true;
    Variable update(Variable v) override { return a(v); }
    void visit(Visitor& v) override {
      v("a", a);
      if (itself) v("self", *this);
      v("inner", inner);
    }
    std::string kind() const override { return "Selfish"; }
  } module;
  const TempDir folder;
  CHECK_THAT(caught<ValueError>([&] { save(module, folder / "m.json"); }),
             Contains("[Selfish] visit: \"self\" is the model itself"));
  CHECK_THAT(caught<ValueError>([&] { (void)module.description(); }), Contains("must not visit"));
  module.itself = false;
  auto inner = std::make_shared<Selfish>();
  inner->itself = false;
  auto innermost = std::make_shared<Sequential>(inner);
  module.inner = inner;
  inner->inner = innermost;
  CHECK_THAT(caught<ValueError>([&] { save(module, folder / "m.json"); }),
             Contains("\"inner.inner.layers.0\" is \"inner\" itself"));
  CHECK(module.states().size() == 2);  // each state once
  inner->inner = nullptr;
}

TEST_CASE("errors: a module without kind() is refused when it is saved") {
  struct Nameless : Module {
    Linear a = linear();
    Variable update(Variable v) override { return a(v); }
    void visit(Visitor& v) override { v("a", a); }
  };
  const TempDir folder;
  Nameless net;
  CHECK_THAT(caught<ValueError>([&] { save(net, folder / "m.json"); }), Contains("the model has no kind()"));
  Sequential holds(linear(), Nameless());
  CHECK_THAT(caught<ValueError>([&] { save(holds, folder / "m.json"); }),
             Contains("the module \"layers.1\" has no kind()") && Contains("std::string kind() const override"));
  CHECK_FALSE(std::filesystem::exists(folder / "m.json"));
}

namespace {

// A module whose visit() names only the first of its two layers.
template <class Second>
struct Half : Module {
  Linear first = linear();
  Second second;
  explicit Half(Second s) : second(std::move(s)) {}
  Variable update(Variable v) override { return second(first(v)); }
  void visit(Visitor& v) override { v("first", first); }
  std::string kind() const override { return "Half"; }
};

}  // namespace

TEST_CASE("traps: a submodule that is called and not named is an error in training mode") {
  Half half(linear());
  CHECK_NOTHROW(half(x));  // evaluation
  half.train();
  CHECK_THAT(caught<ValueError>([&] { half(x); }),
             Contains("[Half] visit: it calls a Linear that visit() does not name"));
  {
    const NoGradGuard no_grad;  // a fixed part
    CHECK_NOTHROW(half(x));
  }
  half.second.freeze();
  CHECK_NOTHROW(half(x));
  half.second.unfreeze();
  Sequential net(linear(), std::move(half));
  net.train();
  CHECK_THAT(caught<ValueError>([&] { net(x); }),
             StartsWith("in layers.1: ") || StartsWith("in layers.1 (Half): [Half] visit: it calls a Linear"));

  Half drops(Dropout({.keep_prob = 0.5}));  // it would never drop
  drops.train();
  CHECK_THAT(caught<ValueError>([&] { drops(x); }), Contains("it calls a Dropout"));
  Half plain((ReLU()));  // nothing to train, nothing to save
  plain.train();
  CHECK_NOTHROW(plain(x));
  // A loss module that is called outside of the model.
  Linear loss = linear();
  CHECK_NOTHROW(loss(plain(x)));
}

TEST_CASE("traps: a submodule that is named and deliberately in evaluation mode is no error") {
  Sequential net(linear(), Sequential(Dropout({.keep_prob = 0.5}), linear()));
  net.train();
  net[1].eval();
  for (int i = 0; i < 3; ++i) CHECK_NOTHROW(net(x));
  // The message names the module that holds the caller.
  struct Shares : Module {
    std::shared_ptr<Linear> inner;
    explicit Shares(std::shared_ptr<Linear> m) : inner(std::move(m)) {}
    Variable update(Variable v) override { return (*inner)(v); }
  };
  auto shared = std::make_shared<Linear>(LinearOptions{.in_size = {2}, .out_features = 2});
  Sequential holds(shared, Shares(shared));
  holds.train();
  shared->eval();
  CHECK_NOTHROW(holds(x));
}

TEST_CASE("traps: a step on a model that was never in training mode says what to do") {
  const auto step = [](Module& net, Optimizer& optimizer) {
    sum(net(x)).backward();
    optimizer.step();
  };
  Sequential net(linear(), Dropout({.keep_prob = 0.5}), linear());
  SGD optimizer(net.parameters(), {.lr = 0.1});
  const Tensor before = net.get<Linear>(0).weight["weight"].value().clone();
  CHECK_THAT(caught<ValueError>([&] { step(net, optimizer); }),
             Contains("[SGD] step: the model was never in training mode") && Contains("layers.1 (Dropout)") &&
                 Contains("model.train()"));
  CHECK(net.get<Linear>(0).weight["weight"].value().value_at(0) == before.value_at(0));
  CHECK(optimizer.steps() == 0);
  (void)net.summary({1, 2});  // has no side effect
  CHECK_THROWS_AS(step(net, optimizer), ValueError);
  {
    const FitGuard fit(net);
    CHECK_NOTHROW(step(net, optimizer));
  }
  CHECK_NOTHROW(step(net, optimizer));  // training mode once is enough

  // Evaluation mode by choice, and models without modes.
  Sequential chosen(linear(), Dropout({.keep_prob = 0.5}));
  chosen.train();
  chosen.eval();
  SGD a(chosen.parameters(), {.lr = 0.1});
  CHECK_NOTHROW(step(chosen, a));
  Sequential plain(linear(), Dropout({.keep_prob = 1}), ReLU());
  SGD b(plain.parameters(), {.lr = 0.1});
  CHECK_NOTHROW(step(plain, b));
  // Moved after the optimizer was made.
  Sequential first(linear(), Dropout({.keep_prob = 0.5}));
  SGD c(first.parameters(), {.lr = 0.1});
  Sequential second = std::move(first);
  CHECK_THROWS_AS(step(second, c), ValueError);
  second.train();
  CHECK_NOTHROW(step(second, c));
}

TEST_CASE("traps: batch normalisation that never trained, and one that is frozen") {
  const Variable volume(Tensor::ones({2, 2, 2, 2, 3}));
  Sequential net(BatchNorm3d({.in_size = {2, 2, 2, 3}}), GlobalAvgPool3d(), linear(3, 2));
  SGD optimizer(net.parameters(), {.lr = 0.1});
  sum(net(volume)).backward();
  CHECK_THAT(message_of([&] { optimizer.step(); }), Contains("layers.0 (BatchNorm3d)"));
  net.freeze("layers.0");
  CHECK_NOTHROW(optimizer.step());
  net.unfreeze();
  CHECK_THROWS_AS(optimizer.step(), ValueError);
}

TEST_CASE("messages: an optimizer that was made before the model was built") {
  Sequential net(Linear({.out_features = 2}), ReLU());
  CHECK_THAT(message_of([&] { SGD(net.parameters(), {.lr = 0.1}); }),
             Contains("sizes are not known yet") && Contains("in_size"));
  Sequential head(Linear({.out_features = 2}));
  Sequential both(linear());
  States states = both.states();
  for (const auto& [path, state] : head.states()) states.insert("head." + path, state);
  SGD optimizer(states, {.lr = 0.1});
  CHECK_NOTHROW(optimizer.step());
  head.build({2});
  CHECK_THAT(message_of([&] { optimizer.step(); }),
             Contains("\"head.layers.0.weight\" had no parameters when the optimizer was made"));
}
