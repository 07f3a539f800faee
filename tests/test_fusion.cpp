// Values that wait (framework/deferred.hpp): fused and unfused paths give the same numbers, the graph holds what it
// needs and no more.
#include <catch2/catch.hpp>
#include <thread>

#include <voxgrad/voxgrad.hpp>

#include "tests/support/plain.hpp"
#include "tests/support/threads_scope.hpp"

namespace {

using namespace vg;

/// conv-norm-activation twice with a sum in between, then a bias and an activation: all that fuses.
struct Net : Module {
  Conv3d conv1{
      {.in_size = {any, any, any, 2}, .out_channels = 8, .kernel_size = 3, .padding = 1, .b_init = init::Normal(0.5)}};
  GroupNorm norm1{{.in_size = {any, any, any, 8}, .num_groups = 4}};
  Conv3d conv2{
      {.in_size = {any, any, any, 8}, .out_channels = 8, .kernel_size = 3, .padding = 1, .b_init = init::Normal(0.5)}};
  BatchNorm3d norm2{{.in_size = {any, any, any, 8}}};
  Conv3d conv3{{.in_size = {any, any, any, 8}, .out_channels = 3, .kernel_size = 1, .b_init = init::Normal(0.5)}};

  Variable update(const Variable& x) override {
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
  const random::GeneratorScope random(generator);
  const FusionScope scope(fuse);
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
    CHECK(worst <= 20 * eps * std::max(largest, 1e-2));  // a bias before batch statistics has none but roundings
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
    const test::ThreadsScope scope(threads);
    return run(true, f32, true);
  };
  const Result one = bits(1);
  for (int threads : {2, 3, 8}) {
    const Result r = bits(threads);
    CHECK(r.loss == one.loss);
    CHECK(r.grads == one.grads);
  }
}

TEST_CASE("fusion: one op is recorded for what waits and what takes it in", "[fusion]") {
  const Variable x(Tensor::ones({1, 2, 2, 2, 4}), true), bias(Tensor::ones({4}), true);
  CHECK(relu(bias_add(x, bias)).op() == "bias_activation");
  CHECK(relu(group_norm(bias_add(x, bias), 2, {}, {}, 1e-5)).op() == "norm_activation");
  CHECK((group_norm(x, 2, {}, {}, 1e-5) + x).op() == "norm_sum");
  CHECK((x + group_norm(x, 2, {}, {}, 1e-5)).op() == "norm_sum");
  CHECK(relu(x + group_norm(x, 2, {}, {}, 1e-5)).op() == "norm_activation");
  CHECK(leaky_relu(bias_add(x, bias), -0.5).op() == "leaky_relu");
  CHECK(relu(relu(bias_add(x, bias))).op() == "relu");
  {
    const FusionScope off(false);
    CHECK(relu(bias_add(x, bias)).op() == "relu");
    CHECK((group_norm(x, 2, {}, {}, 1e-5) + x).op() == "add");
  }
  const Variable seen = bias_add(x, bias);
  CHECK(seen.shape() == x.shape());
  CHECK(seen.value().values() == std::vector<double>(32, 2.0));
  CHECK(relu(seen).op() == "relu");  // it has been computed: there is nothing left to take in
}

TEST_CASE("fusion: what waits can be asked for by several threads", "[fusion][threads]") {
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

TEST_CASE("a graph holds what its vjps read, not what passed through", "[autograd][memory]") {
  const Variable x(Tensor::ones({64, 1024}), true);
  const std::int64_t size = x.value().bytes(), before = memory::stats().in_use;
  Variable y = x + 1.0;
  for (int i = 0; i < 10; ++i) y = y + x;  // reads neither
  CHECK(memory::stats().in_use - before <= 2 * size);
  Variable z = exp(y);  // reads its result
  z = exp(z);
  CHECK(memory::stats().in_use - before <= 4 * size);
  sum(z).backward();
}

// What does not stay in the caches is stored past them, row by row: of whole lines (16 and 40 channels) or not (24 and
// 7), more channels than a wide row holds (136), and ends that are not whole.
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
    const KernelSetScope scope(set);
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

/// A convolution over a concatenation, and its gradients: of the parts, then of w.
std::vector<std::vector<double>> joined_conv(const std::vector<std::int64_t>& channels, vg::DType dtype, bool fuse,
                                             bool again) {
  using namespace vg;
  const FusionScope scope(fuse);
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

TEST_CASE("fusion: a convolution reads the parts of a concatenation where they are", "[fusion]") {
  for (const std::string& set : vg::available_kernel_sets())
    for (const std::string& algorithm : vg::conv3d_algorithms())
      for (const vg::DType dtype : {vg::f32, vg::f64})
        for (const bool again : {false, true}) {
          if (again && algorithm != "auto") continue;  // made of the same passes
          const vg::KernelSetScope set_scope(set);
          const vg::Conv3dAlgorithmScope algorithm_scope(algorithm);
          INFO(set << " " << algorithm << " " << vg::name_of(dtype) << (again ? " twice" : ""));
          CHECK(joined_conv({16, 16}, dtype, true, again) == joined_conv({16, 16}, dtype, false, again));
          CHECK(joined_conv({32, 16, 16}, dtype, true, again) == joined_conv({32, 16, 16}, dtype, false, again));
          CHECK(joined_conv({16, 5}, dtype, true, again) == joined_conv({16, 5}, dtype, false, again));  // no vectors
        }
}

TEST_CASE("fusion: no memory is taken for a concatenation that a convolution reads", "[fusion][memory]") {
  using namespace vg;
  const FusionScope scope(true);
  const NoGrad no_grad;
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
