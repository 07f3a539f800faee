// Reductions and matrix products: comparison with plain loops, accuracy, corner cases, bad arguments.
#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

#include "support/plain.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

using namespace vg;
using namespace vg::test;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
const double nan_value = std::nan("");

// Folds x over the axes with an index loop; the axes are kept with extent 1.
Tensor plain_fold(const Tensor& x, const std::vector<bool>& folded, double start,
                  const std::function<double(double, double)>& f) {
  Shape shape;
  for (std::size_t i = 0; i < x.shape().size(); ++i) shape.push_back(folded[i] ? 1 : x.shape()[i]);
  Tensor y = Tensor::full(shape, start, f64);
  double* p = y.data<double>();
  each_index(x.shape(), [&](const Index& index) {
    std::int64_t flat = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) flat = flat * shape[d] + (folded[d] ? 0 : index[d]);
    p[flat] = f(p[flat], at(x, index));
  });
  return y;
}

const std::vector<Shape> shapes{{},           {5},        {2, 3, 4},     {3, 1, 2, 4}, {1, 1},       {2, 3, 2, 3, 2},
                                {40001},      {2, 33000}, {13000, 3},    {120, 300},   {13, 5, 700}, {5, 300, 3, 9},
                                {6000, 1, 7}, {3, 0, 2},  {2, 17000, 2}, {20, 2000}};

}  // namespace

TEST_CASE("reductions over any axes equal a plain index loop", "[ops][reduce]") {
  for (const Shape& shape : shapes)
    for (unsigned set = 0; set < 1u << shape.size(); ++set)
      for (DType dtype : {f32, f64, i32}) {
        if (set == 0 && !shape.empty()) continue;  // no axes mean all axes
        std::vector<bool> folded;
        Axes axes;
        for (std::size_t i = 0; i < shape.size(); ++i) {
          folded.push_back((set >> i & 1) != 0);
          if (folded.back()) axes.push_back(i % 2 == 0 ? static_cast<int>(i) : static_cast<int>(i) - shape.rank());
        }
        CAPTURE(shape.str(), axes, name_of(dtype));
        const Tensor x = numbers(shape, dtype, set);
        const double tolerance = dtype == f32 ? 1e-5 : dtype == f64 ? 1e-12 : 0;
        const Tensor total = plain_fold(x, folded, 0, [](double a, double b) { return a + b; });
        CHECK(distance(sum(x, axes, true).value(), total) <= tolerance);
        CHECK(sum(x, axes).value().values() == sum(x, axes, true).value().values());
        CHECK(sum(x, axes).rank() == shape.rank() - static_cast<int>(axes.size()));
        if (x.numel() == 0) continue;
        CHECK(distance(max(x, axes, true).value(),
                       plain_fold(x, folded, -inf, [](double a, double b) { return std::max(a, b); })) == 0);
        CHECK(distance(min(x, axes, true).value(),
                       plain_fold(x, folded, inf, [](double a, double b) { return std::min(a, b); })) == 0);
        if (dtype == i32 || x.numel() > 1000) continue;  // the others are composed of the ops above
        const double n = static_cast<double>(x.numel()) / static_cast<double>(total.numel());
        const Tensor average = build(total.shape(), [&](const Index& i) { return at(total, i) / n; });
        CHECK(distance(mean(x, axes, true).value(), average) <= tolerance);
        const Tensor off = (square(Variable(x.to(f64)) - average)).value();
        const Tensor spread = plain_fold(off, folded, 0, [](double a, double b) { return a + b; });
        CHECK(distance(var(x, axes, true).value(),
                       build(spread.shape(), [&](const Index& i) { return at(spread, i) / n; })) <= tolerance);
        const Tensor raised =
            plain_fold(exp(Variable(x.to(f64))).value(), folded, 0, [](double a, double b) { return a + b; });
        CHECK(distance(logsumexp(x, axes, true).value(), log(Variable(raised)).value()) <= tolerance);
      }
}

TEST_CASE("an f32 sum of a large volume is as accurate as f32 allows", "[ops][reduce]") {
  const std::int64_t n = 1 << 24;
  const Tensor x = Tensor::full({n}, 0.1f);  // adding one by one in f32 gives 2.09e6 instead of 1.68e6
  const double exact = static_cast<double>(0.1f) * static_cast<double>(n);
  CHECK(std::abs(sum(x).item() - exact) / exact < 1e-7);
  CHECK(std::abs(mean(x).item() - 0.1f) < 1e-8);
  for (const auto& shape : {Shape{n / 4, 4}, Shape{n / 1024, 1024}})
    CHECK(distance(sum(x.reshape(shape), {0}).value(),
                   Tensor::full({shape.back()}, exact / static_cast<double>(shape.back()), f64)) < 1e-7);
}

TEST_CASE("corner cases of reductions", "[ops][reduce]") {
  CHECK(sum(Tensor::zeros({0, 3}), {0}).value().values() == std::vector<double>{0, 0, 0});
  CHECK(sum(Tensor::zeros({0, 3}), {1}).numel() == 0);
  CHECK(std::isnan(max(doubles({1, nan_value, 2})).item()));
  CHECK(std::isnan(min(doubles({1, nan_value, 2})).item()));
  CHECK(max(doubles({-inf, -inf})).item() == -inf);
  CHECK(logsumexp(doubles({-inf, -inf})).item() == -inf);
  CHECK(logsumexp(doubles({1, inf})).item() == inf);
  CHECK(logsumexp(doubles({1000, 1000})).item() == Approx(1000 + std::log(2.0)));
  const Variable x(doubles({3, 1, 3, 3}), true);
  CHECK(distance(gradients(max(x), {x})[0].value(), doubles({1. / 3, 0, 1. / 3, 1. / 3})) < 1e-15);
  CHECK(gradients(min(x), {x})[0].value().values() == std::vector<double>{0, 1, 0, 0});
  const Tensor big = Tensor::full({3}, 2000000000, i32);
  CHECK_THROWS_AS(sum(big), ValueError);
  CHECK(sum(Variable(big) * -1.0 + 2000000000.0).item() == 0);
}

TEST_CASE("argmax gives the first of equal maxima", "[ops][reduce]") {
  const Tensor x = Tensor::of<float>({2, 3}, {1, 5, 5, -1, -3, -2});
  CHECK(argmax(x).values() == std::vector<double>{1, 0});
  CHECK(argmax(x, 0).values() == std::vector<double>{0, 0, 0});
  CHECK(argmax(x).dtype() == i32);
  CHECK(argmax(doubles({1, nan_value, 7, nan_value})).item() == 1);
  const Tensor y = numbers({40, 50, 30}, f64, 3);
  const Tensor expected = build({40, 30}, [&](const Index& i) {
    std::int64_t best = 0;
    for (std::int64_t k = 1; k < 50; ++k)
      if (at(y, {i[0], k, i[1]}) > at(y, {i[0], best, i[1]})) best = k;
    return static_cast<double>(best);
  });
  CHECK(distance(argmax(y, 1), expected) == 0);
  CHECK_THROWS_AS(argmax(x, 2), ValueError);
  CHECK_THROWS_AS(argmax(Tensor::zeros({2, 0})), ValueError);
  CHECK_THROWS_AS(argmax(Tensor()), ValueError);
}

TEST_CASE("sum_to undoes broadcasting", "[ops][reduce]") {
  const Tensor x = numbers({2, 3, 4}, f64, 1);
  for (const Shape& to : {Shape{}, Shape{4}, Shape{3, 1}, Shape{1, 3, 4}, Shape{2, 1, 1}, Shape{1, 1, 1}}) {
    CAPTURE(to.str());
    Tensor expected = Tensor::zeros(to, f64);
    each_index(x.shape(), [&](const Index& i) {
      std::int64_t flat = 0;
      for (std::size_t d = 0; d < to.size(); ++d) flat = flat * to[d] + (to[d] == 1 ? 0 : i[3 - to.size() + d]);
      expected.data<double>()[flat] += at(x, i);
    });
    CHECK(distance(sum_to(x, to).value(), expected) < 1e-14);
  }
  CHECK_THROWS_AS(sum_to(x, {2}), ValueError);
  CHECK_THROWS_AS(sum_to(x, {1, 2, 3, 4}), ValueError);
}

TEST_CASE("reductions refuse bad arguments and say why", "[ops][reduce]") {
  const Variable x(Tensor::ones({2, 3})), n(Tensor::ones({2}, i32)), none(Tensor::ones({2, 0}));
  using Reduction = Variable (*)(const Variable&, const Axes&, bool);
  for (const auto& [name, op] : std::vector<std::pair<std::string, Reduction>>{
           {"sum", sum}, {"mean", mean}, {"max", max}, {"min", min}, {"logsumexp", logsumexp}, {"var", var}}) {
    CAPTURE(name);
    CHECK_THROWS_AS(op(x, {2}, false), ValueError);
    CHECK_THROWS_WITH(op(x, {-3}, false), Catch::StartsWith("[" + name + "] axis: got -3"));
    CHECK_THROWS_WITH(op(x, {1, -1}, false), Catch::StartsWith("[" + name + "] axes: got axis 1 twice"));
    CHECK_THROWS_AS(op(Variable(), {}, false), ValueError);
    if (name != "sum") CHECK_THROWS_WITH(op(none, {}, false), Catch::StartsWith("[" + name + "] x: got shape (2, 0)"));
  }
  CHECK_THROWS_AS(mean(n), TypeError);
  CHECK_THROWS_AS(var(n), TypeError);
  CHECK_THROWS_AS(logsumexp(n), TypeError);
}

namespace {

Tensor plain_matmul(const Tensor& a, const Tensor& b, const Shape& shape) {
  const std::size_t r = shape.size();
  return build(shape, [&](const Index& i) {
    double total = 0;
    Index ia = i, ib = i;
    for (std::int64_t k = 0; k < a.dim(-1); ++k) {
      ia[r - 1] = ib[r - 2] = k;
      total += at(a, ia) * at(b, ib);
    }
    return total;
  });
}

}  // namespace

TEST_CASE("matmul equals three loops, and so do its gradients", "[ops][linalg]") {
  struct Case {
    Shape a, b, out;
  };
  for (const auto& [sa, sb, out] : std::vector<Case>{{{2, 3}, {3, 4}, {2, 4}},
                                                     {{1, 1}, {1, 1}, {1, 1}},
                                                     {{300, 20}, {20, 600}, {300, 600}},
                                                     {{513, 7}, {7, 3}, {513, 3}},
                                                     {{4, 2, 3}, {3, 5}, {4, 2, 5}},
                                                     {{2, 3}, {4, 3, 5}, {4, 2, 5}},
                                                     {{2, 1, 2, 3}, {5, 3, 2}, {2, 5, 2, 2}},
                                                     {{2, 0}, {0, 3}, {2, 3}},
                                                     {{2, 4, 0}, {0, 3}, {2, 4, 3}},
                                                     {{0, 2}, {2, 3}, {0, 3}},
                                                     {{0, 4, 2}, {2, 3}, {0, 4, 3}}}) {
    CAPTURE(sa.str(), sb.str());
    const Variable a(numbers(sa, f64, 1), true), b(numbers(sb, f64, 2), true);
    const Variable y = matmul(a, b);
    REQUIRE(y.shape() == out);
    CHECK(distance(y.value(), plain_matmul(a.value(), b.value(), out)) < 1e-12);
    CHECK(distance(matmul(a.value().to(f32), b.value().to(f32)).value(), y.value()) < 1e-4);
    const Tensor g = numbers(out, f64, 3);
    const auto grads = gradients(y, {a, b}, Variable(g));
    // The product is linear in each operand: <a'(g), a> = <y, g> = <b'(g), b>.
    const double inner = sum(y.detach() * g).item();
    CHECK(sum(grads[0] * a).item() == Approx(inner).margin(1e-9));
    CHECK(sum(grads[1] * b).item() == Approx(inner).margin(1e-9));
  }
}

TEST_CASE("matmul refuses bad arguments and leaves OpenMP alone", "[ops][linalg]") {
  const Variable a(Tensor::ones({2, 3}));
  CHECK_THROWS_WITH(matmul(a, Tensor::ones({4, 3})), Catch::StartsWith("[matmul] b: got shape (4, 3)"));
  CHECK_THROWS_WITH(matmul(Tensor::ones({5, 2, 3}), Tensor::ones({4, 3})),
                    Catch::StartsWith("[matmul] b: got shape (4, 3)"));
  CHECK_THROWS_WITH(matmul(Tensor::ones({3}), a), Catch::StartsWith("[matmul] a: got shape (3,)"));
  CHECK_THROWS_WITH(matmul(a, Tensor::ones({3})), Catch::StartsWith("[matmul] b: got shape (3,)"));
  CHECK_THROWS_AS(matmul(Tensor::ones({2, 2, 3}), Tensor::ones({3, 3, 2})), ValueError);
  CHECK_THROWS_AS(matmul(a, Tensor::ones({3, 2}, f64)), TypeError);
  CHECK_THROWS_AS(matmul(Tensor::ones({2, 2}, i32), Tensor::ones({2, 2}, i32)), TypeError);
  CHECK_THROWS_AS(matmul(a, Variable()), ValueError);
}
