// Modules with several inputs or outputs are called, observed, summarised, saved and loaded like others.
#include <catch2/catch.hpp>

#include "support/checkpoint_run.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/nn/nan_finder.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

using namespace vg;
using Catch::Contains;
using Catch::StartsWith;
using vg::test::message_of;
using vg::test::TempDir;

namespace {

Linear linear(std::int64_t in, std::int64_t out) { return Linear({.in_size = {in}, .out_features = out}); }

// A variational autoencoder with one input and three outputs.
struct Vae : MultiModule {
  Linear encoder = linear(4, 6), decoder = linear(3, 4);
  RandomState noise{7};
  Variables update_all(Variables in) override {
    const Variable h = encoder(in.at(0)), mu = slice(h, 1, {0, 3}), log_var = slice(h, 1, {3, 6});
    const Variable z = mu + exp(log_var * 0.5) * Variable(random::normal(noise.next(), mu.shape(), 0, 1, mu.dtype()));
    return {decoder(z), mu, log_var};
  }
  void visit(Visitor& v) override {
    v("encoder", encoder);
    v("decoder", decoder);
    v("noise", noise);
  }
  std::string kind() const override { return "Vae"; }
};

// A module that scales features by a condition, and a net that contains it.
struct Film : MultiModule {
  Linear scale = linear(2, 4);
  Variables update_all(Variables in) override {
    if (in.size() != 2) throw ValueError("[Film] inputs: must be 2");
    return {in[0] * scale(in[1])};
  }
  void visit(Visitor& v) override { v("scale", scale); }
  std::string kind() const override { return "Film"; }
};
struct Conditional : MultiModule {
  Linear first = linear(4, 4);
  Film film;
  Variables update_all(Variables in) override { return film.call({first(in.at(0)), in.at(1)}); }
  void visit(Visitor& v) override {
    v("first", first);
    v("film", film);
  }
  std::string kind() const override { return "Conditional"; }
};

Variable ones(std::int64_t n, double fill = 1) { return Variable(Tensor::full({2, n}, fill)); }

}  // namespace

TEST_CASE("several outputs: a VAE trains") {
  Vae vae;
  vae.train();
  SGD optimizer(vae.parameters(), {.lr = 0.05});
  double first = 0, last = 0;
  for (int i = 0; i < 30; ++i) {
    const Variables out = vae.call({ones(4)});
    REQUIRE(out.size() == 3);
    const Variable loss = mean(square(out[0] - ones(4))) + 0.01 * mean(square(out[1]) + exp(out[2]) - out[2]);
    (i == 0 ? first : last) = loss.item();
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
  }
  CHECK(last < 0.5 * first);
  CHECK_THAT(message_of([&] { vae(ones(4)); }),
             Contains("[Vae] update: it gives 3 outputs; vg::Module::call returns all"));
}

TEST_CASE("several inputs: called by call(), also one within another; one in and one out either way") {
  Conditional net;
  const Variables y = net.call({ones(4), ones(2)});
  REQUIRE(y.size() == 1);
  CHECK(y[0].shape() == Shape{2, 4});
  CHECK_THAT(message_of([&] { net.film.call({ones(4)}); }), StartsWith("[Film] inputs: must be 2"));
  CHECK_THAT(message_of([&] {
               net.call({ones(4), ones(3)});
             }),
             StartsWith("in film.scale (Linear): [Linear] input: got (2, 3)"));
  Linear plain = linear(4, 2);
  CHECK(vg::test::bytes_of(plain.call({ones(4)})[0].value()) == vg::test::bytes_of(plain(ones(4)).value()));
  CHECK_THAT(message_of([&] {
               plain.call({ones(4), ones(4)});
             }),
             Contains("[Linear] call: got 2 inputs; must be 1") && Contains("MultiModule"));
  CHECK_THROWS_AS(plain.call({}), ValueError);

  struct One : MultiModule {  // one input and one output, so it can be used like any module
    Linear inner = linear(4, 4);
    Variables update_all(Variables in) override { return {inner(in.at(0))}; }
    void visit(Visitor& v) override { v("inner", inner); }
    std::string kind() const override { return "One"; }
  };
  Sequential holds(linear(4, 4), One());
  CHECK(holds(ones(4)).shape() == Shape{2, 4});
}

TEST_CASE("several inputs and outputs: summary, bytes of a step") {
  Conditional net;
  const std::string text = net.summary({{2, 4}, {2, 2}});
  CHECK_THAT(text, Contains("(model)     Conditional  (2, 4)"));
  CHECK_THAT(text, Contains("film        Film         (2, 4)"));
  CHECK_THAT(text, Contains("film.scale  Linear       (2, 4)          12"));
  CHECK_THAT(text, Contains("total: 32 parameters") && Contains("a training step: "));
  CHECK(net.step_bytes({{2, 4}, {2, 2}}) > 0);
  CHECK(net.step_bytes({{8, 4}, {8, 2}}) > net.step_bytes({{2, 4}, {2, 2}}));
  Vae vae;
  const random::Key key = vae.noise.key();
  CHECK_THAT(vae.summary({2, 4}), Contains("(2, 4), (2, 3), (2, 3)") && Contains("a training step: "));
  CHECK(vae.noise.key() != key);  // one evaluation
}

TEST_CASE("several inputs and outputs: the NaN finder names the layer") {
  Conditional net;
  net.film.scale.weight.set("bias", Tensor::full({4}, std::nan("")));
  const NanFinder finder(net);
  CHECK_THAT(message_of<NonFiniteError>([&] { net.call({ones(4), ones(2)}); }), Contains("film.scale (Linear)"));
}

TEST_CASE("several inputs and outputs: saved, made from the file, cloned, frozen") {
  const TempDir folder;
  register_module<Conditional>("Conditional");
  register_module<Film>("Film");
  Conditional net;
  net.freeze("film");
  save(net, folder / "m.json");
  const std::unique_ptr<Module> back = load_model(folder / "m.json");
  CHECK(vg::test::bits(*back) == vg::test::bits(net));
  const Variables in{ones(4, 0.5), ones(2, 2)};
  CHECK(vg::test::bytes_of(back->call(in)[0].value()) == vg::test::bytes_of(net.call(in)[0].value()));
  CHECK(back->states().at("film.scale.weight").frozen());
  Conditional copy = clone(net);
  CHECK(vg::test::bits(copy) == vg::test::bits(net));
}

TEST_CASE("several inputs: an unnamed one is an error in training mode, too") {
  struct Hides : MultiModule {
    Film film;
    Variables update_all(Variables in) override { return film.call(std::move(in)); }
    std::string kind() const override { return "Hides"; }
  } hides;
  hides.train();
  CHECK_THAT(message_of([&] { hides.call({ones(4), ones(2)}); }), Contains("[Hides] visit: it calls a Film"));
}
