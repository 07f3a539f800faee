// The reverse pass itself: sums of gradients, lifetimes of values, and errors.
#include <pthread.h>

#include <thread>

#include <catch2/catch.hpp>

#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

using namespace vg;
using namespace vg::test;

namespace {

Variable leaf(double v) { return Variable(Tensor::scalar(v, f64), true); }

using Throws = std::function<Grads(const VjpContext&)>;
Variable with_vjp(const Variable& x, Throws vjp) { return record("odd", x.value().clone(), {x}, std::move(vjp)); }

}  // namespace

TEST_CASE("gradients add up over shared subexpressions", "[autograd]") {
  const Variable x = leaf(3);
  const Variable square = x * x, y = square * square + square + x;  // x^4 + x^2 + x
  y.backward();
  CHECK(x.grad().item() == 4 * 27 + 2 * 3 + 1);
  const Variable twice = leaf(2);
  (twice + twice).backward();
  CHECK(twice.grad().item() == 2);
}

TEST_CASE("a graph of diamonds costs one visit per node", "[autograd]") {
  const Variable x = leaf(1);
  Variable y = x;
  for (int i = 0; i < 60; ++i) y = (y + y) * 0.5 + y;  // 2^60 paths
  y.backward();
  CHECK(x.grad().item() == std::pow(2.0, 60));
}

TEST_CASE("backward adds to grad, gradients does not", "[autograd]") {
  const Variable x = leaf(3);
  Variable y = x;
  (x * 2.0).backward();
  (x * 5.0).backward();
  CHECK(x.grad().item() == 7);
  CHECK(gradients(x * 4.0, {x})[0].item() == 4);
  CHECK(x.grad().item() == 7);
  y.zero_grad();
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("leaves that were given one gradient do not share it afterwards", "[autograd]") {
  const Variable a = leaf(1), b = leaf(2);
  (a + b).backward();
  (a * 10.0).backward();
  CHECK(a.grad().item() == 11);
  CHECK(b.grad().item() == 1);
}

TEST_CASE("a gradient that a vjp passes on is not changed by adding to it", "[autograd]") {
  const Variable x(Tensor::ones({3}, f64), true);
  const Tensor seed = Tensor::of<double>({3}, {1, 2, 3});
  ((x + x) + (x + x)).backward(Variable(seed));
  CHECK(seed.values() == std::vector<double>{1, 2, 3});
  CHECK(x.grad().value().values() == std::vector<double>{4, 8, 12});
}

TEST_CASE("a captured op result may be the gradient", "[autograd]") {
  const Variable x = leaf(2);
  Variable slope = exp(leaf(1));  // the output of a recorded op
  const double expected = slope.item() + 1;
  Variable y = with_vjp(x, [s = slope](const VjpContext&) -> Grads { return {s}; }) + x;
  slope = {};
  y.backward();
  CHECK(x.grad().item() == Approx(expected));
}

TEST_CASE("a freed graph says so, a retained one can be walked again", "[autograd]") {
  const Variable x = leaf(3);
  const Variable y = x * x;
  y.backward({.retain_graph = true});
  y.backward();
  CHECK(x.grad().item() == 12);
  CHECK_THROWS_AS(y.backward(), ValueError);
  CHECK_THROWS_WITH(y.backward(), Catch::Contains("freed by an earlier pass") && Catch::Contains("mul"));
  CHECK_THROWS_AS((y + x).backward(), ValueError);
  CHECK_THROWS_AS(gradients(y + x, {x}), ValueError);
  CHECK(x.grad().item() == 12);
  CHECK_FALSE(y.is_leaf());
}

TEST_CASE("create_graph gives derivatives of any order", "[autograd]") {
  const Variable x = leaf(0.7);
  const Variable y = exp(x * x);
  const GradientsOptions create{.create_graph = true};
  const Variable first = gradients(y, {x}, create)[0], second = gradients(first, {x}, create)[0],
                 third = gradients(second, {x}, create)[0];
  const double v = 0.7, e = std::exp(v * v);
  CHECK(first.item() == Approx(2 * v * e));
  CHECK(second.item() == Approx((2 + 4 * v * v) * e));
  CHECK(third.item() == Approx((12 * v + 8 * v * v * v) * e));
  CHECK_FALSE(gradients(y, {x}, {.retain_graph = true})[0].requires_grad());
  y.backward({.create_graph = true});
  CHECK(x.grad().requires_grad());
  Variable(x).zero_grad();  // the graph of the gradient refers to x, which is a cycle until the gradient is dropped
}

TEST_CASE("gradients with respect to intermediate values", "[autograd]") {
  const Variable x = leaf(2);
  const Variable middle = x * x;
  const Variable y = middle * middle * 3.0;
  const auto grads = gradients(y, {middle, x}, {.retain_graph = true});
  CHECK(grads[0].item() == 6 * 4);
  CHECK(grads[1].item() == 6 * 4 * 4);
  CHECK(gradients(y, {y})[0].item() == 1);
  CHECK(gradients(y, {middle, middle}, {.retain_graph = true})[1].item() == 24);
}

TEST_CASE("gradients visits only the nodes in between", "[autograd]") {
  const Variable x = leaf(2), other = leaf(3);
  int calls = 0;
  const Variable counted = with_vjp(other, [&](const VjpContext& p) -> Grads {
    ++calls;
    return {p.grad};
  });
  CHECK(gradients(x * counted, {x})[0].item() == 3);
  CHECK(calls == 0);
  CHECK_FALSE(other.grad().defined());
}

TEST_CASE("unused inputs are an error unless allowed", "[autograd]") {
  const Variable x = leaf(2), unused = leaf(3);
  const Variable y = x * x;
  CHECK_THROWS_WITH(gradients(y, {x, unused}),
                    Catch::StartsWith("[gradients] inputs: the output does not depend on number 1"));
  const auto grads = gradients(y, {x, unused}, {.retain_graph = true, .allow_unused = true});
  CHECK(grads[0].item() == 4);
  CHECK_FALSE(grads[1].defined());
  CHECK_FALSE(gradients(y, {unused}, {.allow_unused = true})[0].defined());
  CHECK(gradients(sign(x), {x})[0].item() == 0);  // used, with a zero derivative
}

TEST_CASE("a pass refuses outputs and cotangents that do not fit", "[autograd]") {
  const Variable x(Tensor::ones({2}, f64), true), constant(Tensor::ones({}, f64));
  CHECK_THROWS_WITH(constant.backward(), Catch::StartsWith("[backward] output: it depends on nothing"));
  CHECK_THROWS_AS(Variable().backward(), ValueError);
  CHECK_THROWS_WITH((x * 2.0).backward(), Catch::Contains("(2,)") && Catch::Contains("exactly one element"));
  CHECK_THROWS_WITH((x * 2.0).backward(Variable(Tensor::ones({3}, f64))),
                    Catch::StartsWith("[backward] cotangent: got f64 (3,)"));
  CHECK_THROWS_AS((x * 2.0).backward(Variable(Tensor::ones({2}))), ValueError);
  CHECK_THROWS_WITH(gradients(sum(x), {constant}), Catch::StartsWith("[gradients] inputs: number 0 does not require"));
  CHECK_THROWS_AS(gradients(sum(x), {Variable()}), ValueError);
  CHECK_THROWS_AS(Variable(Tensor::ones({2}, i32), true), TypeError);
}

TEST_CASE("scopes turn recording off and on, also when left by an exception", "[autograd]") {
  const Variable x = leaf(2);
  {
    NoGradGuard off;
    CHECK_FALSE(recording());
    CHECK_FALSE((x * x).requires_grad());
    {
      EnableGrad on;
      CHECK((x * x).requires_grad());
    }
    CHECK_FALSE(recording());
  }
  CHECK(recording());
  try {
    NoGradGuard off;
    throw 1;
  } catch (int) {
  }
  CHECK((x * x).requires_grad());
  bool other_thread = false;
  NoGradGuard off;
  std::thread([&] { other_thread = recording(); }).join();
  CHECK(other_thread);  // the scope applies to one thread
}

TEST_CASE("detach cuts, set_grad and mutable_value guard", "[autograd]") {
  Variable x = leaf(2);
  CHECK(gradients(x * x.detach(), {x})[0].item() == 2);
  x.set_grad(leaf(5));
  CHECK(x.grad().item() == 5);
  CHECK_THROWS_AS(x.set_grad(Variable(Tensor::ones({2}, f64))), ValueError);
  CHECK_THROWS_AS(x.set_grad(Variable(Tensor::ones({}))), ValueError);
  Variable y = x * x;
  CHECK_THROWS_WITH(y.mutable_value(), Catch::Contains("op mul"));
  y.backward();
  CHECK_THROWS_AS(y.mutable_value(), ValueError);
  CHECK_THROWS_AS(Variable().mutable_value(), ValueError);
  CHECK_THROWS_AS(Variable().value(), ValueError);
}

namespace {

constexpr int chain_length = 1000000;

void deep_chain() {
  const Variable x = leaf(1);
  {
    Variable y = x;
    for (int i = 0; i < chain_length; ++i) y = y + 1.0;
    y.backward({.retain_graph = true});
    x.grad().item();
    gradients(y, {x}, {.retain_graph = true});
  }  // the whole graph is destroyed
  Variable z = x;
  for (int i = 0; i < chain_length; ++i) z = neg(z);
  z.backward();
}

}  // namespace

TEST_CASE("a chain of a million nodes needs no stack", "[autograd][large]") {
  // With 64 KiB of stack (more for the large frames of sanitizers), a recursion over the graph would end the process.
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(
              &thread, &attributes, [](void*) -> void* { return deep_chain(), nullptr; }, nullptr) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST_CASE("saved values are freed as soon as they are consumed", "[autograd]") {
  const std::int64_t n = 1 << 18, bytes = n * 8;
  const Variable x(Tensor::ones({n}, f64), true);
  const auto peak_of_backward = [&](int depth, bool retain) {
    Variable y = x;
    for (int i = 0; i < depth; ++i) y = sin(y);
    y = sum(y);
    memory::reset_peak();
    const std::int64_t before = memory::stats().in_use;
    y.backward({.retain_graph = retain});
    Variable(x).zero_grad();
    return std::pair(memory::stats().peak - before, memory::stats().in_use - before);
  };
  // The pass frees memory on the way: at any depth it has at most a few gradients more than at the start, and at the
  // end the saved values are freed.
  const auto [peak, left] = peak_of_backward(20, false);
  CHECK(peak <= 5 * bytes);
  CHECK(left <= -19 * bytes);
  CHECK(peak_of_backward(20, true).second >= -bytes);
}

TEST_CASE("a temporary is destroyed with its expression, not with the graph", "[autograd]") {
  const std::int64_t before = memory::stats().in_use;
  {
    NoGradGuard off;
    Variable y(Tensor::ones({1 << 16}));
    for (int i = 0; i < 50; ++i) y = y + 1.0;
    CHECK(memory::stats().in_use - before <= 2 * (4 << 16) + 4096);
  }
  CHECK(memory::stats().in_use == before);
}

TEST_CASE("an exception in a vjp leaves nothing half done", "[autograd]") {
  const Variable x = leaf(2), w = leaf(3);
  bool fail = true;
  const Variable odd = with_vjp(x, [&](const VjpContext& p) -> Grads {
    if (fail) throw std::runtime_error("in the vjp");
    return {p.grad};
  });
  const Variable y = odd * w;
  CHECK_THROWS_WITH(y.backward({.retain_graph = true}), "in the vjp");
  CHECK_FALSE(w.grad().defined());
  CHECK_FALSE(x.grad().defined());
  CHECK(recording());
  CHECK_THROWS_WITH(gradients(y, {x, w}, {.retain_graph = true}), "in the vjp");
  fail = false;
  y.backward();
  CHECK(x.grad().item() == 3);
  CHECK(w.grad().item() == 2);
}

TEST_CASE("a vjp that returns nonsense is reported by the name of its op", "[autograd]") {
  const Variable x = leaf(2);
  const auto run = [&](Throws vjp) { with_vjp(x, std::move(vjp)).backward(); };
  CHECK_THROWS_WITH(run([](const VjpContext&) -> Grads { return {}; }),
                    Catch::StartsWith("[odd] vjp: returned 0 gradients"));
  CHECK_THROWS_WITH(run([](const VjpContext&) -> Grads { return {Variable(Tensor::ones({2}, f64))}; }),
                    Catch::StartsWith("[odd] vjp: the gradient of input 0 is f64 (2,); must be f64 ()"));
  CHECK_THROWS_AS(run([](const VjpContext&) -> Grads { return {Variable(Tensor::ones({}))}; }), ValueError);
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("a pass within a vjp does not disturb the pass outside", "[autograd]") {
  // Checkpointing: the inner function runs again in the vjp, with the same weights as the outer one.
  const Variable x = leaf(2), w = leaf(3);
  const auto inner = [](const Variable& a, const Variable& b) { return a * b * b; };
  const auto checkpointed = [&](const Variable& a, const Variable& b) {
    NoGradGuard off;
    Tensor value = inner(a, b).value();
    EnableGrad on;
    return record("checkpoint", value, {a, b}, [a, b, inner](const VjpContext& p) -> Grads {
      EnableGrad again;
      const Variable fresh(a.value(), true);
      return gradients(inner(fresh, b), {fresh, b}, p.grad);
    });
  };
  const Variable y = checkpointed(x * w, w) * w;  // x w^4
  const auto grads = gradients(y, {x, w}, {.retain_graph = true});
  CHECK(grads[0].item() == 81);
  CHECK(grads[1].item() == 4 * 2 * 27);
  y.backward();
  CHECK(w.grad().item() == 4 * 2 * 27);
}

TEST_CASE("threads may take gradients with respect to the same weights", "[autograd]") {
  const Variable w(numbers({64}, f64, 1), true);
  std::vector<Tensor> results(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) results[t] = gradients(sum(sin(w * w) * exp(w)), {w})[0].value();
    });
  for (auto& t : threads) t.join();
  for (const Tensor& r : results) CHECK(same_bits(r, results[0]));
}

TEST_CASE("the same bits for any number of threads", "[autograd][threads]") {
  const Tensor x0 = numbers({37, 50, 70}, f32, 1), w0 = numbers({70, 300}, f32, 2), b0 = numbers({300}, f32, 3);
  const auto run = [&](int threads) {
    const ThreadsGuard scope(threads);
    const Variable x(x0, true), w(w0, true), b(b0, true);
    const Variable h = gelu(matmul(x, w) + b);
    const Variable s = h - mean(h, {0, 1}, true);
    const Variable y =
        sum(relu(transpose(s, {2, 0, 1})) / sqrt(var(s) + 1.0)) + sum(logsumexp(s, {-1})) + sum(max(s, {1}));
    y.backward();
    return std::vector<Tensor>{y.value(), h.value(), x.grad().value(), w.grad().value(), b.grad().value()};
  };
  const auto expected = run(1);
  for (int threads : {2, 3, 8}) {
    const auto got = run(threads);
    for (std::size_t i = 0; i < got.size(); ++i) {
      CAPTURE(threads, i);
      CHECK(same_bits(got[i], expected[i]));
    }
  }
}
