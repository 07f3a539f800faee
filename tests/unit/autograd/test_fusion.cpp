// Lazy values (framework/autograd/lazy.hpp): fused and unfused paths give the same numbers, and the graph keeps only
// the values that it needs.
#include <catch2/catch.hpp>
#include <thread>

#include <voxgrad/voxgrad.hpp>

#include "tests/support/plain.hpp"
#include "tests/support/threads_guard.hpp"

namespace {

using namespace vg;

/// Twice convolution, normalisation and activation with a sum in between, then a bias and an activation: every kind of
/// fusion.
struct Net : Module {
  Conv3d conv1{{.in_size = {dynamic, dynamic, dynamic, 2},
                .out_channels = 8,
                .kernel_size = 3,
                .padding = 1,
                .b_init = init::Normal(0.5)}};
  GroupNorm norm1{{.in_size = {dynamic, dynamic, dynamic, 8}, .num_groups = 4}};
  Conv3d conv2{{.in_size = {dynamic, dynamic, dynamic, 8},
                .out_channels = 8,
                .kernel_size = 3,
                .padding = 1,
                .b_init = init::Normal(0.5)}};
  BatchNorm3d norm2{{.in_size = {dynamic, dynamic, dynamic, 8}}};
  Conv3d conv3{
      {.in_size = {dynamic, dynamic, dynamic, 8}, .out_channels = 3, .kernel_size = 1, .b_init = init::Normal(0.5)}};

  Variable update(Variable x) override {
    const Variable h = relu(norm1(conv1(x)));
    return leaky_relu(conv3(relu(norm2(conv2(h)) + h)), 0.1);
  }
  void visit(Visitor& v) override {
    v("conv1", conv1), v("norm1", norm1), v("conv2", conv2), v("norm2", norm2), v("conv3", conv3);
  }
  std::string kind() const override { return "Net"; }
};

struct Result {
  double loss;
  std::vector<std::vector<double>> grads;
};

Result run(bool fuse, DType dtype, bool training) {
  random::Generator generator(7);
  const random::GeneratorGuard random(generator);
  const FusionGuard scope(fuse);
  Net net;
  net.to(dtype);
  net.train(training);
  const Variable x(random::normal({1, 2}, {2, 5, 6, 7, 2}, 0, 1, dtype), true);
  const Variable loss = mean(square(net(x)));
  loss.backward();
  Result r{loss.item(), {x.grad().value().values()}};
  for (const auto& [path, state] : net.parameters())
    for (const std::string& leaf : state.leaves()) r.grads.push_back(state[leaf].grad().value().values());
  return r;
}

void check_close(const Result& a, const Result& b, double eps) {
  CHECK(std::abs(a.loss - b.loss) <= eps * std::abs(b.loss));
  REQUIRE(a.grads.size() == b.grads.size());
  for (std::size_t i = 0; i < a.grads.size(); ++i) {
    double largest = 0, worst = 0;
    for (std::size_t j = 0; j < a.grads[i].size(); ++j) {
      largest = std::max(largest, std::abs(b.grads[i][j]));
      worst = std::max(worst, std::abs(a.grads[i][j] - b.grads[i][j]));
    }
    INFO("gradient " << i << ": " << worst << " of " << largest);
    CHECK(worst <= 20 * eps * std::max(largest, 1e-2));  // a bias before batch statistics: only rounding
  }
}

}  // namespace

TEST_CASE("fusion: losses and gradients are those of the unfused ops", "[fusion]") {
  for (const bool training : {true, false}) {
    check_close(run(true, f64, training), run(false, f64, training), 1e-12);
    check_close(run(true, f32, training), run(false, f32, training), 1e-6);
  }
}

TEST_CASE("fusion: the same bits for any number of threads", "[fusion][threads]") {
  const auto bits = [](int threads) {
    const vg::test::ThreadsGuard scope(threads);
    return run(true, f32, true);
  };
  const Result one = bits(1);
  for (int threads : {2, 3, 8}) {
    const Result r = bits(threads);
    CHECK(r.loss == one.loss);
    CHECK(r.grads == one.grads);
  }
}

TEST_CASE("fusion: one op is recorded for a lazy op and the op that absorbs it", "[fusion]") {
  const Variable x(Tensor::ones({1, 2, 2, 2, 4}), true), bias(Tensor::ones({4}), true);
  CHECK(relu(bias_add(x, bias)).op() == "bias_activation");
  CHECK(relu(group_norm(bias_add(x, bias), 2, {}, {}, 1e-5)).op() == "norm_activation");
  CHECK((group_norm(x, 2, {}, {}, 1e-5) + x).op() == "norm_sum");
  CHECK((x + group_norm(x, 2, {}, {}, 1e-5)).op() == "norm_sum");
  CHECK(relu(x + group_norm(x, 2, {}, {}, 1e-5)).op() == "norm_activation");
  CHECK(leaky_relu(bias_add(x, bias), -0.5).op() == "leaky_relu");
  CHECK(relu(relu(bias_add(x, bias))).op() == "relu");
  {
    const FusionGuard off(false);
    CHECK(relu(bias_add(x, bias)).op() == "relu");
    CHECK((group_norm(x, 2, {}, {}, 1e-5) + x).op() == "add");
  }
  const Variable seen = bias_add(x, bias);
  CHECK(seen.shape() == x.shape());
  CHECK(seen.value().values() == std::vector<double>(32, 2.0));
  CHECK(relu(seen).op() == "relu");  // seen was materialized, so there is nothing to fuse
}

TEST_CASE("fusion: several threads may materialize a lazy value", "[fusion][threads]") {
  const Variable x(Tensor::ones({1, 20, 20, 20, 4})), bias(Tensor::ones({4}));
  for (int round = 0; round < 20; ++round) {
    const Variable y = bias_add(x, bias);
    double sums[2] = {};
    std::thread other([&] { sums[0] = sum(y).item(); });
    sums[1] = sum(y).item();
    other.join();
    CHECK(sums[0] == 64000);
    CHECK(sums[1] == 64000);
  }
}

TEST_CASE("fusion: bias_add refuses what does not fit", "[fusion]") {
  const Variable x(Tensor::ones({2, 3, 4}));
  CHECK_THROWS_WITH(bias_add(x, Tensor::ones({3})), Catch::Contains("[bias_add] bias: got shape (3,)"));
  CHECK_THROWS_WITH(bias_add(x, Tensor::ones({2, 4})), Catch::Contains("must have one entry for each channel"));
  CHECK_THROWS_AS(bias_add(x, Tensor::ones({4}, f64)), TypeError);
  CHECK_THROWS_AS(bias_add(Tensor::ones({2, 4}, i32), Tensor::ones({4}, i32)), TypeError);
}

TEST_CASE("a graph keeps the values that its vjps read, and no others", "[autograd][memory]") {
  const Variable x(Tensor::ones({64, 1024}), true);
  const std::int64_t size = x.value().bytes(), before = memory::stats().in_use;
  Variable y = x + 1.0;
  for (int i = 0; i < 10; ++i) y = y + x;  // its vjp reads neither operand
  CHECK(memory::stats().in_use - before <= 2 * size);
  Variable z = exp(y);  // its vjp reads the output
  z = exp(z);
  CHECK(memory::stats().in_use - before <= 4 * size);
  sum(z).backward();
}

// Large results use non-temporal stores, row by row: with whole cache lines (16 and 40 channels) or without (24 and 7),
// with more channels than a wide row has (136), and with incomplete rows at the end.
TEST_CASE("fusion: large volumes are normalised as their samples are", "[fusion][large]") {
  using namespace vg;
  const std::int64_t channels = GENERATE(7, 16, 24, 40, 136), rows = 1200000 / channels, batch = 3;
  const Tensor x = random::normal({1, 2}, {batch, rows, channels}),
               dy = random::normal({3, 4}, {batch, rows, channels});
  const Tensor skip = random::normal({5, 6}, {batch, rows, channels});
  struct Got {
    Tensor y, dx;
  };
  const auto pass = [](const Tensor& from, const Tensor& grad, const Tensor& residual) {
    const Variable in(from, true), bias(random::normal({7, 8}, {from.shape().back()}));
    const Variable y = relu(group_norm(in, 1, {}, {}, 1e-5) + Variable(residual)),
                   z = leaky_relu(group_norm(in, 1, {}, {}, 1e-5), 0.1);
    const Variable all = y + z + relu(bias_add(in, bias));
    sum(all * Variable(grad)).backward();
    return Got{all.value(), in.grad().value()};
  };
  for (const std::string& set : available_kernel_sets()) {
    const KernelSetGuard scope(set);
    const Got all = pass(x, dy, skip);
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto part = [i](const Tensor& t) { return slice(Variable(t), 0, {i, i + 1}).value(); };
      INFO(set << ", " << channels << " channels, sample " << i);
      const Got one = pass(part(x), part(dy), part(skip));
      CHECK(std::equal(one.y.data<float>(), one.y.data<float>() + one.y.numel(), part(all.y).data<float>()));
      CHECK(std::equal(one.dx.data<float>(), one.dx.data<float>() + one.dx.numel(), part(all.dx).data<float>()));
    }
  }
}

namespace {

/// A convolution of a concatenation, and its gradients with respect to the parts, then to w.
std::vector<std::vector<double>> joined_conv(const std::vector<std::int64_t>& channels, vg::DType dtype, bool fuse,
                                             bool again) {
  using namespace vg;
  const FusionGuard scope(fuse);
  std::vector<Variable> inputs;
  std::int64_t all = 0;
  for (const std::int64_t c : channels) {
    inputs.emplace_back(random::normal({1, static_cast<std::uint32_t>(c)}, {2, 3, 4, 9, c}, 0, 1, dtype), true);
    all += c;
  }
  const std::vector<Variable> parts = inputs;
  inputs.emplace_back(random::normal({7, 8}, {3, 3, 3, all, 16}, 0, 1, dtype), true);
  const Conv3dArgs same{.padding = {{{1, 1}, {1, 1}, {1, 1}}}};
  const Variable y = conv3d(concat(parts, -1), inputs.back(), same);
  std::vector<Variable> grads = gradients(sum(square(y)), inputs, {.create_graph = again});
  if (again) {
    Variable total = sum(square(grads[0]));
    for (std::size_t i = 1; i < grads.size(); ++i) total = total + sum(square(grads[i]));
    grads = gradients(total, inputs);
  }
  std::vector<std::vector<double>> out{y.value().values()};
  for (const Variable& g : grads) out.push_back(g.value().values());
  return out;
}

}  // namespace

TEST_CASE("fusion: a convolution reads the parts of a concatenation in place", "[fusion]") {
  for (const std::string& set : vg::available_kernel_sets())
    for (const std::string& algorithm : vg::conv3d_algorithms())
      for (const vg::DType dtype : {vg::f32, vg::f64})
        for (const bool again : {false, true}) {
          if (again && algorithm != "auto") continue;  // its second derivatives use the same passes
          const vg::KernelSetGuard set_scope(set);
          const vg::Conv3dAlgorithmGuard algorithm_scope(algorithm);
          INFO(set << " " << algorithm << " " << vg::name_of(dtype) << (again ? " twice" : ""));
          CHECK(joined_conv({16, 16}, dtype, true, again) == joined_conv({16, 16}, dtype, false, again));
          CHECK(joined_conv({32, 16, 16}, dtype, true, again) == joined_conv({32, 16, 16}, dtype, false, again));
          CHECK(joined_conv({16, 5}, dtype, true, again) == joined_conv({16, 5}, dtype, false, again));  // no vectors
        }
}

TEST_CASE("fusion: a concatenation that a convolution reads is not stored", "[fusion][memory]") {
  using namespace vg;
  const FusionGuard scope(true);
  const NoGradGuard no_grad;
  const vg::test::ThreadsGuard one_thread(1);  // with several, the number of simultaneous workspaces is random
  const Variable a(random::normal({1, 2}, {1, 24, 24, 24, 16})), b(random::normal({3, 4}, {1, 24, 24, 24, 16}));
  const Variable w(random::normal({5, 6}, {3, 3, 3, 32, 16}));
  const Conv3dArgs same{.padding = {{{1, 1}, {1, 1}, {1, 1}}}};
  const auto peak = [&](const Variable& x) {
    memory::reset_peak();
    const std::int64_t before = memory::stats().in_use;
    conv3d(x, w, same).value();
    return memory::stats().peak - before;
  };
  const Variable computed = concat({a, b}, -1);
  computed.value();
  const std::int64_t whole = peak(computed), parts = peak(concat({a, b}, -1));
  CHECK(parts <= whole);
}

namespace {

/// Chains of all ops that fuse; returns a handle of each intermediate value.
using Chain = std::function<std::vector<Variable>(const std::vector<Variable>& leaves)>;
enum Leaf : std::size_t { leaf_x, leaf_w, leaf_bias, leaf_scale, leaf_other, leaves_count };

std::vector<Variable> chain_leaves() {
  const auto leaf = [](std::uint32_t key, const Shape& shape) {
    return Variable(random::normal({21, key}, shape, 0, 1, f64), true);
  };
  return {leaf(1, {2, 3, 4, 5, 3}), leaf(2, {1, 1, 1, 3, 4}), leaf(3, {4}), leaf(4, {4}), leaf(5, {2, 3, 4, 5, 4})};
}

const std::vector<std::pair<std::string, Chain>> chains{
    {"relu of a bias",
     [](const auto& in) {
       const Variable h = bias_add(conv3d(in[leaf_x], in[leaf_w], {}), in[leaf_bias]);
       return std::vector<Variable>{h, relu(h)};
     }},
    {"leaky_relu of a bias",
     [](const auto& in) {
       const Variable h = bias_add(in[leaf_other], in[leaf_bias]);
       return std::vector<Variable>{h, leaky_relu(h, 0.25)};
     }},
    {"group_norm of a bias",
     [](const auto& in) {
       const Variable h = bias_add(conv3d(in[leaf_x], in[leaf_w], {}), in[leaf_bias]);
       return std::vector<Variable>{h, group_norm(h, 2, in[leaf_scale], in[leaf_bias], 1e-5)};
     }},
    {"batch_norm of a bias, twice used",
     [](const auto& in) {
       const Variable h = bias_add(in[leaf_other], in[leaf_bias]);
       return std::vector<Variable>{h, batch_norm(h, in[leaf_scale], {}, 1e-5).output * relu(h)};
     }},
    {"normalize of a bias",
     [](const auto& in) {
       const Variable h = bias_add(conv3d(in[leaf_x], in[leaf_w], {}), in[leaf_bias]);
       const Tensor of_channels = random::uniform({9, 9}, {4}, 0.5, 1, f64);
       return std::vector<Variable>{h, relu(normalize(h, of_channels, of_channels, in[leaf_scale], {}, 1e-5))};
     }},
    {"all of a residual block",
     [](const auto& in) {
       const Variable c = conv3d(in[leaf_x], in[leaf_w], {}), h1 = bias_add(c, in[leaf_bias]);
       const Variable h2 = group_norm(h1, 2, in[leaf_scale], in[leaf_bias], 1e-5), h3 = in[leaf_other] + h2;
       return std::vector<Variable>{c, h1, h2, h3, relu(h3)};
     }},
    {"a sum of two normalisations",
     [](const auto& in) {
       const Variable a = group_norm(in[leaf_other], 2, in[leaf_scale], {}, 1e-5);
       const Variable b = batch_norm(bias_add(in[leaf_other], in[leaf_bias]), {}, in[leaf_scale], 1e-5).output;
       return std::vector<Variable>{a, b, leaky_relu(a + b, 0.1)};
     }},
    {"a convolution of a concatenation", [](const auto& in) {
       const Variable wide = conv3d(in[leaf_x], random::normal({8, 8}, {1, 1, 1, 3, 16}, 0, 1, f64), {});
       const Variable h = concat({wide, wide * wide}, -1);
       return std::vector<Variable>{h, conv3d(h, random::normal({9, 8}, {1, 1, 1, 32, 4}, 0, 1, f64), {})};
     }}};

/// Gradients with respect to the values of a chain whose bit is set in `asked`, and to all leaves if `with_leaves`. If
/// `again`, gradients of the sum of their squares.
std::vector<std::vector<double>> chain_gradients(const Chain& chain, unsigned asked, bool with_leaves, bool again,
                                                 bool fuse) {
  const FusionGuard scope(fuse);
  const std::vector<Variable> leaves = chain_leaves(), values = chain(leaves);
  std::vector<Variable> inputs;
  for (std::size_t i = 0; i + 1 < values.size(); ++i)
    if (asked >> i & 1U) inputs.push_back(values[i]);
  if (with_leaves) inputs.insert(inputs.end(), leaves.begin(), leaves.end());
  const Variable y = sum(values.back() * random::normal({4, 4}, values.back().shape(), 0, 1, f64));
  std::vector<Variable> grads = gradients(y, inputs, {.create_graph = again, .allow_unused = with_leaves || again});
  if (again) {
    Variable total(Tensor::zeros({}, f64));
    for (const Variable& g : grads)
      if (g.defined()) total = total + sum(square(g) * square(g));
    // a gradient may not depend on the input
    grads = total.requires_grad() ? gradients(total, inputs, {.allow_unused = true}) : std::vector<Variable>();
  }
  std::vector<std::vector<double>> out;
  for (const Variable& g : grads) out.push_back(g.defined() ? g.value().values() : std::vector<double>());
  return out;
}

void check_close(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].size() == b[i].size());
    double largest = 1, worst = 0;
    for (std::size_t j = 0; j < a[i].size(); ++j) {
      largest = std::max(largest, std::abs(b[i][j]));
      worst = std::max(worst, std::abs(a[i][j] - b[i][j]));
    }
    INFO("gradient " << i << ": " << worst << " of " << largest);
    CHECK(worst <= 1e-11 * largest);
  }
}

}  // namespace

TEST_CASE("fusion: an absorbed value has a gradient like any other", "[fusion]") {
  for (const auto& [name, chain] : chains) {
    const unsigned values = static_cast<unsigned>(chain(chain_leaves()).size()) - 1;
    for (unsigned asked = 1; asked < 1U << values; ++asked)
      for (const bool with_leaves : {false, true})
        for (const bool again : {false, true}) {
          INFO(name << ", values " << asked << (with_leaves ? " and leaves" : "") << (again ? ", twice" : ""));
          check_close(chain_gradients(chain, asked, with_leaves, again, true),
                      chain_gradients(chain, asked, with_leaves, again, false));
        }
  }
}

TEST_CASE("fusion: gradients of the leaves' gradients reach absorbed values", "[fusion]") {
  const auto run = [](bool fuse) {
    const FusionGuard scope(fuse);
    const std::vector<Variable> in = chain_leaves();
    const Variable h = bias_add(in[leaf_other], in[leaf_bias]);
    const Variable y = sum(square(relu(group_norm(h, 2, in[leaf_scale], {}, 1e-5) + in[leaf_other])));
    const Variable g = gradients(y, {in[leaf_scale]}, {.create_graph = true})[0];
    return std::vector<std::vector<double>>{gradients(sum(square(g)), {h})[0].value().values()};
  };
  check_close(run(true), run(false));
}

TEST_CASE("fusion: grad and recompute include a value that is absorbed within them", "[fusion][recompute]") {
  const auto run = [](bool fuse) {
    const FusionGuard scope(fuse);
    const std::vector<Variable> in = chain_leaves();
    const Variable h = bias_add(in[leaf_other], in[leaf_bias]);
    const GradResult of_relu = grad([](const Args& a) { return sum(square(relu(a[0]))); }, {}, {.argnums = {0}})({h});
    const Variable again = recompute([](const Variable& v) { return relu(v); }, h, {});
    const Variable g = gradients(sum(square(again)), {in[leaf_other]}, {.create_graph = true})[0];
    return std::vector<std::vector<double>>{of_relu.grads.args[0].value().values(), g.value().values(),
                                            gradients(sum(square(g)), {in[leaf_bias]})[0].value().values()};
  };
  check_close(run(true), run(false));
}

TEST_CASE("fusion: a value that a freed graph absorbed is refused, not ignored", "[fusion]") {
  const std::vector<Variable> in = chain_leaves();
  const Variable h1 = bias_add(in[leaf_other], in[leaf_bias]), h2 = group_norm(h1, 2, {}, {}, 1e-5), y = relu(h2);
  sum(h2).backward();
  CHECK_THROWS_WITH(gradients(sum(y), {h1}), Catch::Contains("the graph was freed by an earlier pass"));
  const Variable z = relu(bias_add(in[leaf_other], in[leaf_bias]));
  sum(z).backward();
  CHECK_THROWS_WITH(gradients(sum(z), {in[leaf_bias]}), Catch::Contains("the graph was freed"));
}
