// Elementwise ops: comparison with plain index loops and xtensor, corner cases, bad arguments.
#include <cmath>
#include <functional>
#include <limits>

#include <catch2/catch.hpp>
#include <xtensor/xmath.hpp>

#include "support/plain.hpp"
#include "voxgrad/framework/base/array.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/bias.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

using namespace vg;
using namespace vg::test;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
const double nan_value = std::nan("");

// Pairs of shapes that take every path: equal shapes, scalars, channels (few and many), rows, broadcasting on both
// sides, small and threaded.
const std::vector<std::pair<Shape, Shape>> shape_pairs{
    {{2, 3}, {2, 3}},
    {{}, {}},
    {{}, {4}},
    {{1}, {}},
    {{2, 3, 4}, {4}},
    {{4}, {2, 3, 4}},
    {{2, 3, 4}, {3, 1}},
    {{3, 1, 2}, {4, 1}},
    {{1, 3, 1}, {2, 1, 5}},
    {{0, 3}, {1, 3}},
    {{2, 0}, {1}},
    {{40001}, {40001}},
    {{40001}, {1}},
    {{5001, 7}, {7}},
    {{7}, {5001, 7}},
    {{70, 501}, {501}},
    {{70, 501}, {70, 1}},
    {{3, 1, 6000}, {2, 1}},
    {{20, 1, 50}, {40, 1}},
    {{2, 3, 1, 2, 1, 2, 1, 3}, {3, 2, 1, 1, 2, 1}},
    {{1, 35000}, {35000}},
    {{3, 1, 4, 1}, {3, 1, 1, 5}},
};

void check_binary(DType dtype, const std::function<Variable(const Variable&, const Variable&)>& op,
                  const std::function<double(double, double)>& plain, double tolerance) {
  std::uint64_t seed = 0;
  for (const auto& [sa, sb] : shape_pairs) {
    CAPTURE(sa.str(), sb.str(), name_of(dtype));
    const Tensor a = numbers(sa, dtype, ++seed), b = numbers(sb, dtype, ++seed);
    const Tensor expected =
        build(broadcast_shapes("test", sa, sb), [&](const Index& i) { return plain(at(a, i), at(b, i)); });
    CHECK(distance(op(a, b).value(), expected) <= tolerance);
  }
}

void check_unary(const std::function<Variable(const Variable&)>& op, double (*plain)(double), double low, double high) {
  for (const Shape& shape : {Shape{2, 3}, Shape{}, Shape{0, 2}, Shape{70001}}) {
    CAPTURE(shape.str());
    const Tensor x = numbers(shape, f64, 5, low, high), x32 = x.to(f32);
    CHECK(distance(op(x).value(), build(shape, [&](const Index& i) { return plain(at(x, i)); })) <= 1e-14);
    const Tensor y32 = op(x32).value();
    CHECK(y32.dtype() == f32);
    CHECK(distance(y32, build(shape, [&](const Index& i) { return plain(at(x32, i)); })) <= 3e-6);
  }
}

}  // namespace

TEST_CASE("binary ops equal a plain index loop for all kinds of broadcasting", "[ops]") {
  using V = const Variable&;
  for (DType dtype : {f32, f64, i32}) {
    const double tolerance = dtype == f32 ? 1e-6 : 0;
    check_binary(
        dtype, [](V a, V b) { return a + b; }, [](double a, double b) { return a + b; }, tolerance);
    check_binary(
        dtype, [](V a, V b) { return a - b; }, [](double a, double b) { return a - b; }, tolerance);
    check_binary(
        dtype, [](V a, V b) { return a * b; }, [](double a, double b) { return a * b; }, tolerance);
    check_binary(
        dtype, maximum, [](double a, double b) { return std::max(a, b); }, 0);
    check_binary(
        dtype, minimum, [](double a, double b) { return std::min(a, b); }, 0);
    check_binary(
        dtype, less, [](double a, double b) { return a < b; }, 0);
    check_binary(
        dtype, greater_equal, [](double a, double b) { return a >= b; }, 0);
  }
  check_binary(
      f64, [](V a, V b) { return a / b; }, [](double a, double b) { return a / b; }, 0);
  check_binary(
      f64, [](V a, V b) { return pow(exp(a), b); }, [](double a, double b) { return std::pow(std::exp(a), b); }, 1e-13);
}

TEST_CASE("where broadcasts its three operands", "[ops]") {
  for (const auto& [sc, sa, sb] : std::vector<std::array<Shape, 3>>{{Shape{2, 3}, {2, 3}, {2, 3}},
                                                                    {Shape{2, 1}, {3}, {4, 1, 1}},
                                                                    {Shape{}, {2}, {}},
                                                                    {Shape{90000}, {90000}, {1}},
                                                                    {Shape{7}, {9000, 7}, {9000, 1}}}) {
    const Tensor c = numbers(sc, i32, 1, -1, 2), a = numbers(sa, f32, 2), b = numbers(sb, f32, 3);
    const Shape shape = broadcast_shapes("test", sc, broadcast_shapes("test", sa, sb));
    CHECK(distance(where(c, a, b).value(),
                   build(shape, [&](const Index& i) { return at(c, i) != 0 ? at(a, i) : at(b, i); })) == 0);
  }
}

TEST_CASE("unary ops equal the functions of the standard library", "[ops]") {
  using V = const Variable&;
  check_unary(
      vg::neg, [](double x) { return -x; }, -3, 3);
  check_unary(
      vg::abs, [](double x) { return std::abs(x); }, -3, 3);
  check_unary(
      vg::sign, [](double x) { return x > 0   ? 1.0
                                      : x < 0 ? -1.0
                                              : 0.0; }, -3, 3);
  check_unary(
      vg::square, [](double x) { return x * x; }, -3, 3);
  check_unary(
      vg::sqrt, [](double x) { return std::sqrt(x); }, 0, 9);
  check_unary(
      vg::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.1, 9);
  check_unary(
      vg::exp, [](double x) { return std::exp(x); }, -3, 3);
  check_unary(
      vg::expm1, [](double x) { return std::expm1(x); }, -1, 1);
  check_unary(
      vg::log, [](double x) { return std::log(x); }, 0.1, 9);
  check_unary(
      vg::log1p, [](double x) { return std::log1p(x); }, -0.5, 9);
  check_unary(
      vg::sin, [](double x) { return std::sin(x); }, -3, 3);
  check_unary(
      vg::cos, [](double x) { return std::cos(x); }, -3, 3);
  check_unary(
      vg::tanh, [](double x) { return std::tanh(x); }, -3, 3);
  check_unary(
      vg::erf, [](double x) { return std::erf(x); }, -3, 3);
  check_unary(
      vg::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -9, 9);
  check_unary([](const Variable& v) { return softplus(v); }, [](double x) { return std::log(1 + std::exp(x)); }, -9, 9);
  check_unary(
      vg::relu, [](double x) { return x > 0 ? x : 0; }, -3, 3);
  check_unary([](V x) { return leaky_relu(x, 0.25); }, [](double x) { return x > 0 ? x : x / 4; }, -3, 3);
  check_unary(
      vg::silu, [](double x) { return x / (1 + std::exp(-x)); }, -9, 9);
  check_unary([](V x) { return gelu(x); }, [](double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))); }, -3,
              3);
  check_unary([](V x) { return gelu(x, true); },
              [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }, -3,
              3);
  check_unary([](V x) { return clip(x, -1, 0.5); }, [](double x) { return std::min(0.5, std::max(-1.0, x)); }, -3, 3);
  check_unary([](V x) { return pow(x, 1.7); }, [](double x) { return std::pow(x, 1.7); }, 0.1, 3);
  check_unary([](V x) { return 2.0 - x / 3.0 + 1.0 / (x + 9.0); }, [](double x) { return 2 - x / 3 + 1 / (x + 9); }, -3,
              3);
}

TEST_CASE("the fast float functions are good to 2 ulp everywhere", "[ops]") {
  std::vector<float> at{0.0f,    -0.0f, 1e-40f, 88.722f, 88.73f,     -87.4f, -103.9f,
                        -104.1f, 1e30f, -1e30f, 0.625f,  0.6249999f, 9.0f};
  for (std::int64_t i = -200000; i <= 200000; ++i) at.push_back(static_cast<float>(i) * 5.3e-4f);
  const auto n = static_cast<std::int64_t>(at.size());
  const Tensor x = Tensor::of({n}, at);
  const auto worst = [&](const Variable& y, double (*exact)(double)) {
    double error = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const double e = static_cast<double>(static_cast<float>(exact(x.value_at(i)))), got = y.value().value_at(i);
      if (got != e) error = std::max(error, std::abs(got - e) / std::max(std::abs(e), 1e-38));
    }
    return error;
  };
  CHECK(worst(vg::exp(x), [](double v) { return std::exp(v); }) < 2.4e-7);
  CHECK(worst(vg::tanh(x), [](double v) { return std::tanh(v); }) < 2.4e-7);
  CHECK(worst(sigmoid(x), [](double v) { return 1 / (1 + std::exp(-v)); }) < 3.6e-7);
  const Variable odd(Tensor::of<float>({3}, {NAN, INFINITY, -INFINITY}));
  CHECK(std::isnan(vg::exp(odd).value().value_at(0)));
  CHECK(std::isnan(vg::tanh(odd).value().value_at(0)));
  CHECK(vg::exp(odd).value().value_at(1) == inf);
  CHECK(vg::exp(odd).value().value_at(2) == 0);
  CHECK(vg::tanh(odd).value().value_at(1) == 1);
  CHECK(vg::tanh(odd).value().value_at(2) == -1);
}

TEST_CASE("ops and xtensor share the same arrays", "[ops]") {
  const Tensor a = numbers({3, 4}, f64, 1), b = numbers({4}, f64, 2);
  const auto xa = a.array<double>();
  const auto xb = b.array<double>();
  CHECK(distance((Variable(a) * b + 2.0).value(), Tensor::from(xa * xb + 2.0)) == 0);
  CHECK(distance(exp(Variable(a)).value(), Tensor::from(xt::exp(xa))) < 1e-15);
  CHECK(distance(sum(Variable(a), {0}).value(), Tensor::from(xt::sum(xa, {0}))) < 1e-15);
}

TEST_CASE("comparisons give i32 and no gradient", "[ops]") {
  const Variable a(doubles({1, 2, 3, nan_value}), true), b(doubles({2, 2, 2, nan_value}));
  CHECK(equal(a, b).value().values() == std::vector<double>{0, 1, 0, 0});
  CHECK(not_equal(a, b).value().values() == std::vector<double>{1, 0, 1, 1});
  CHECK(less(a, b).value().values() == std::vector<double>{1, 0, 0, 0});
  CHECK(less_equal(a, b).value().values() == std::vector<double>{1, 1, 0, 0});
  CHECK(greater(a, b).value().values() == std::vector<double>{0, 0, 1, 0});
  CHECK(greater_equal(a, b).value().values() == std::vector<double>{0, 1, 1, 0});
  CHECK(equal(a, b).dtype() == i32);
  CHECK_FALSE(equal(a, b).requires_grad());
}

TEST_CASE("elementwise corner cases", "[ops]") {
  const auto grad = [](const std::function<Variable(const Variable&)>& f, std::initializer_list<double> at) {
    const Variable x(doubles(at), true);
    return gradients(sum(f(x)), {x})[0].value().values();
  };
  using V = const Variable&;
  using List = std::vector<double>;
  CHECK(grad(vg::sqrt, {0, 4}) == List{inf, 0.25});
  CHECK(grad(vg::abs, {-2, 0, 2}) == List{-1, 0, 1});
  CHECK(grad(vg::sign, {-2, 0, 2}) == List{0, 0, 0});
  CHECK(grad(vg::relu, {-2, 0, 2}) == List{0, 0, 1});
  CHECK(grad([](V x) { return clip(x, -1, 1); }, {-2, -1, 0, 1, 2}) == List{0, 1, 1, 1, 0});
  CHECK(grad([](V x) { return pow(x, 0.0); }, {0, 2}) == List{0, 0});
  CHECK(grad([](V x) { return pow(x, 1.0); }, {0, 2}) == List{1, 1});
  CHECK(grad([](V x) { return pow(x, 2.0); }, {0, -3}) == List{0, -6});
  CHECK(grad([](V x) { return pow(x, Variable(Tensor::zeros({}, f64))); }, {0, 2}) == List{0, 0});
  CHECK(grad([](V e) { return pow(Variable(Tensor::zeros({}, f64)), e); }, {1, 2}) == List{0, 0});
  CHECK(grad([](V x) { return maximum(x, Variable(doubles({0, 0, 0}))); }, {-1, 0, 1}) == List{0, 0.5, 1});
  CHECK(grad([](V x) { return minimum(Variable(doubles({0, 0, 0})), x); }, {-1, 0, 1}) == List{1, 0.5, 0});
  CHECK(softplus(Variable(doubles({1000, -1000}))).value().values() == List{1000, 0});
  CHECK(sigmoid(Variable(doubles({1000, -1000}))).value().values() == List{1, 0});
  CHECK(std::isnan(relu(Variable(doubles({nan_value}))).value().item()));
  CHECK(std::isnan(maximum(Variable(doubles({nan_value})), Variable(doubles({1}))).value().item()));
  CHECK(std::isnan(minimum(Variable(doubles({1})), Variable(doubles({nan_value}))).value().item()));
}

TEST_CASE("i32 arithmetic stays i32 and wraps", "[ops]") {
  const Variable a(Tensor::of<std::int32_t>({2}, {2147483647, -5})), one(Tensor::ones({}, i32));
  CHECK((a + one).value().values() == std::vector<double>{-2147483648.0, -4});
  CHECK((a * 2.0).value().values() == std::vector<double>{-2, -10});
  CHECK((-a).value().values() == std::vector<double>{-2147483647, 5});
  CHECK(abs(a).value().values() == std::vector<double>{2147483647, 5});
  CHECK((a + one).dtype() == i32);
  CHECK_THROWS_AS(a * 0.5, ValueError);
  CHECK_THROWS_AS(a + 3e9, ValueError);
  CHECK_THROWS_AS(a / 2.0, TypeError);
}

TEST_CASE("cast converts, and carries gradients between floats", "[ops]") {
  const Variable x(doubles({1.5, -2.5}), true);
  CHECK(cast(x, i32).value().values() == std::vector<double>{1, -2});
  CHECK_FALSE(cast(x, i32).requires_grad());
  const Variable y = cast(x, f32);
  CHECK(y.dtype() == f32);
  const Variable g = gradients(sum(square(y)), {x})[0];
  CHECK(g.dtype() == f64);
  CHECK(g.value().values() == std::vector<double>{3, -5});
  CHECK(cast(x, f64).is(x));
}

TEST_CASE("add_in_place adds in the given memory", "[ops]") {
  Tensor a = numbers({70001}, f32, 1);
  const Tensor alias = a, before = a.clone(), b = numbers({70001}, f32, 2);
  add_in_place(a, b);
  CHECK(same_bits(alias, (Variable(before) + b).value()));
  CHECK_THROWS_AS(add_in_place(a, Tensor::ones({3})), ValueError);
  CHECK_THROWS_AS(add_in_place(a, b.to(f64)), TypeError);
}

TEST_CASE("elementwise ops refuse bad arguments and say why", "[ops]") {
  const Variable a(Tensor::ones({2, 3})), b(Tensor::ones({2})), d(Tensor::ones({2, 3}, f64)),
      n(Tensor::ones({2, 3}, i32));
  using Binary = Variable (*)(const Variable&, const Variable&);
  for (const auto& [name, op] : std::vector<std::pair<std::string, Binary>>{{"add", add},
                                                                            {"sub", sub},
                                                                            {"mul", mul},
                                                                            {"div", div},
                                                                            {"pow", pow},
                                                                            {"maximum", maximum},
                                                                            {"minimum", minimum},
                                                                            {"equal", equal},
                                                                            {"not_equal", not_equal},
                                                                            {"less", less},
                                                                            {"less_equal", less_equal},
                                                                            {"greater", greater},
                                                                            {"greater_equal", greater_equal}}) {
    CAPTURE(name);
    CHECK_THROWS_AS(op(a, b), ValueError);
    CHECK_THROWS_WITH(op(a, b),
                      Catch::StartsWith("[" + name + "]") && Catch::Contains("(2, 3)") && Catch::Contains("(2,)"));
    CHECK_THROWS_AS(op(a, d), TypeError);
    CHECK_THROWS_WITH(op(a, d), Catch::StartsWith("[" + name + "]") && Catch::Contains("f32 and f64"));
    CHECK_THROWS_AS(op(a, n), TypeError);
    CHECK_THROWS_AS(op(a, Variable()), ValueError);
  }
  using Unary = Variable (*)(const Variable&);
  for (const auto& [name, op] :
       std::vector<std::pair<std::string, Unary>>{{"sqrt", vg::sqrt},
                                                  {"rsqrt", vg::rsqrt},
                                                  {"exp", vg::exp},
                                                  {"expm1", vg::expm1},
                                                  {"log", vg::log},
                                                  {"log1p", vg::log1p},
                                                  {"sin", vg::sin},
                                                  {"cos", vg::cos},
                                                  {"tanh", vg::tanh},
                                                  {"erf", vg::erf},
                                                  {"sigmoid", vg::sigmoid},
                                                  {"softplus", vg::softplus},
                                                  {"relu", [](const Variable& x) { return relu(x); }},
                                                  {"silu", vg::silu}}) {
    CAPTURE(name);
    CHECK_THROWS_AS(op(n), TypeError);
    CHECK_THROWS_WITH(op(n), Catch::StartsWith("[" + name + "]") && Catch::Contains("i32"));
    CHECK_THROWS_AS(op(Variable()), ValueError);
  }
  CHECK_THROWS_AS(div(n, n), TypeError);
  CHECK_THROWS_AS(pow(n, 2.0), TypeError);
  CHECK_THROWS_AS(leaky_relu(n), TypeError);
  CHECK_THROWS_AS(gelu(n), TypeError);
  CHECK_THROWS_AS(clip(n, 0, 1), TypeError);
  CHECK_THROWS_AS(clip(a, 1, 0), ValueError);
  CHECK_THROWS_AS(clip(a, nan_value, 1), ValueError);
  CHECK_THROWS_AS(where(a, a, a), TypeError);
  CHECK_THROWS_AS(where(n, a, d), TypeError);
  CHECK_THROWS_AS(where(n, a, b), ValueError);
}

TEST_CASE("gradients at NaN are as the headers describe", "[ops]") {
  const double nan = std::nan("");
  const Variable one(Tensor::ones({1}, f64));
  const auto slope = [&](const std::function<Variable(const Variable&)>& f, bool create_graph = false) {
    const Variable x(Tensor::full({1}, nan, f64), true);
    const Variable y = f(x);
    CHECK(std::isnan(y.item()));
    return gradients(y, {x}, {.create_graph = create_graph})[0].item();
  };
  for (const bool create : {false, true}) {
    INFO(create);
    CHECK(slope([](auto& x) { return relu(x); }, create) == 0);
    CHECK(slope([](auto& x) { return leaky_relu(x, 0.25); }, create) == 0.25);
    CHECK(slope([](auto& x) { return prelu(x, Tensor::full({1}, 0.5, f64)); }, create) == 0.5);
    CHECK(slope([](auto& x) { return clip(x, -1, 1); }, create) == 0);
    CHECK(std::isnan(slope([](auto& x) { return abs(x); }, create)));
    CHECK(std::isnan(slope([](auto& x) { return elu(x); }, create)));
    CHECK(slope([&](auto& x) { return maximum(x, one); }, create) == 0);
    CHECK(slope([&](auto& x) { return minimum(one, x); }, create) == 1);
    // an activation in the pass that adds a bias
    CHECK(slope([](auto& x) { return relu(bias_add(x, Tensor::ones({1}, f64))); }, create) == 0);
    CHECK(slope([](auto& x) { return leaky_relu(bias_add(x, Tensor::ones({1}, f64)), 0.25); }, create) == 0.25);
  }
}
