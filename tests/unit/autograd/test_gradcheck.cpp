// Checks the table of ops against finite differences, the completeness of the table, and gradcheck itself.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include <catch2/catch.hpp>

#include "support/data_file.hpp"
#include "support/op_cases/op_cases.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/transforms/gradcheck.hpp"
#include "voxgrad/framework/transforms/gradcheck_catch.hpp"

using namespace vg;

TEST_CASE("every op's gradient agrees with differences", "[gradcheck]") {
  for (const vg::test::OpCase& c : vg::test::all_op_cases()) {
    INFO(c.op << ' ' << c.note);
    CHECK_THAT(gradcheck(c.f, vg::test::case_inputs(c)), Passes());
  }
}

TEST_CASE("every op's second derivative agrees with differences of the first", "[gradcheck]") {
  for (const vg::test::OpCase& c : vg::test::all_op_cases()) {
    if (!c.second_order) continue;
    INFO(c.op << ' ' << c.note);
    CHECK_THAT(gradgradcheck(c.f, vg::test::case_inputs(c)), Passes());
  }
}

TEST_CASE("every op of the headers has a row in the table", "[gradcheck]") {
  const std::set<std::string> no_gradient{"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"};
  std::set<std::string> rows;
  for (const vg::test::OpCase& c : vg::test::all_op_cases()) rows.insert(c.op);
  const std::regex declaration(R"(^(?:Variable|BatchNormResult) (\w+)\()");
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(::test::source_folder() / "framework/ops")) {
    if (entry.path().extension() != ".hpp") continue;
    std::ifstream header(entry.path());
    std::smatch match;
    for (std::string line; std::getline(header, line);) {
      if (!std::regex_search(line, match, declaration) || no_gradient.count(match[1])) continue;
      ++found;
      INFO(entry.path().filename().string() << ": " << match[1]);
      CHECK(rows.count(match[1]) == 1);
    }
  }
  CHECK(found > 50);
}

namespace {

// x^2; its vjp lacks the factor 2 at one element.
Variable wrong_square(const Variable& x) {
  return record("wrong_square", square(x.detach()).value(), {x}, [x](const VjpContext& p) -> Grads {
    Tensor slope = mul(x, 2.0).value().clone();
    slope.data<double>()[4] /= 2;
    return {mul(p.grad, Variable(slope))};
  });
}

// A correct gradient that cannot be differentiated again, because it treats x as a constant.
Variable first_order_square(const Variable& x) {
  return record("first_order_square", square(x.detach()).value(), {x},
                [x](const VjpContext& p) -> Grads { return {mul(p.grad, mul(x.detach(), 2.0))}; });
}

const Tensor x6 = Tensor::of<double>({2, 3}, {0.5, 1, 1.5, 2, 2.5, 3});

}  // namespace

TEST_CASE("gradcheck reports where a gradient is wrong, and both numbers", "[gradcheck]") {
  const auto f = [](const std::vector<Variable>& in) { return wrong_square(in[1]) + in[0]; };
  const auto report = gradcheck(f, {x6, x6});
  CHECK_FALSE(report);
  CHECK(report.checked == 12);
  CHECK(report.input == 1);
  CHECK(report.index == std::vector<std::int64_t>{1, 1});
  CHECK(report.analytic == Approx(report.numeric / 2).epsilon(1e-6));
  CHECK(std::abs(report.numeric) > 1);
  CHECK_THAT(report.message(), Catch::Contains("WRONG") && Catch::Contains("input 1 at (1, 1)"));
  CHECK_THAT(gradcheck(f, {x6, x6}), !Passes());
}

TEST_CASE("gradgradcheck finds what gradcheck cannot", "[gradcheck]") {
  const auto f = [](const std::vector<Variable>& in) { return first_order_square(in[0]); };
  CHECK_THAT(gradcheck(f, {x6}), Passes());
  CHECK_THAT(gradgradcheck(f, {x6}), !Passes());
}

TEST_CASE("gradcheck treats an output that ignores an input as zero", "[gradcheck]") {
  const auto constant = [](const std::vector<Variable>& in) { return Variable(in[0].value().clone()) * 0.0; };
  CHECK_THAT(gradcheck(constant, {x6}), Passes());
  CHECK_THAT(gradgradcheck(constant, {x6}), Passes());
  const auto detached = [](const std::vector<Variable>& in) { return in[0].detach() * in[1]; };
  const auto report = gradcheck(detached, {x6, x6});
  CHECK_FALSE(report);
  CHECK(report.input == 0);
  CHECK(report.analytic == 0);
}

TEST_CASE("gradcheck passes i32 inputs through and numbers the inputs as given", "[gradcheck]") {
  const Tensor mask = Tensor::of<std::int32_t>({3}, {1, 0, 1});
  const auto f = [](const std::vector<Variable>& in) { return where(in[0], square(in[1]), wrong_square(in[1])); };
  CHECK(gradcheck(f, {mask, x6}).input == 1);
}

TEST_CASE("gradcheck can check a part of the elements", "[gradcheck]") {
  const auto f = [](const std::vector<Variable>& in) { return square(in[0]); };
  CHECK(gradcheck(f, {x6, x6}, {.max_elements = 2}).checked == 4);
  CHECK(gradcheck(f, {Tensor({0, 3}, f64)}).checked == 0);
}

TEST_CASE("gradcheck of leaves that live elsewhere restores them", "[gradcheck]") {
  Variable w(x6.clone(), true);
  const Tensor before = w.value().clone();
  const auto f = [&] { return sum(square(w)); };
  CHECK_THAT(gradcheck_leaves(f, {w}), Passes());
  CHECK_THAT(gradgradcheck_leaves(f, {w}), Passes());
  CHECK(w.value().values() == before.values());
  CHECK_FALSE(w.grad().defined());
  int calls = 0;
  const auto fails = [&]() -> Variable {
    if (++calls == 3) throw std::runtime_error("enough");
    return square(w);
  };
  CHECK_THROWS_WITH(gradcheck_leaves(fails, {w}), "enough");
  CHECK(w.value().values() == before.values());
}

TEST_CASE("gradcheck never changes the caller's tensors", "[gradcheck]") {
  const Tensor x = x6.clone();
  Variable w(x, true);  // shares the memory
  gradcheck_leaves([&] { return square(w); }, {w});
  CHECK(x.values() == x6.values());
}

TEST_CASE("gradcheck says what it cannot check", "[gradcheck]") {
  const auto f = [](const std::vector<Variable>& in) { return square(in[0]); };
  CHECK_THROWS_AS(gradcheck(f, {Tensor::ones({2})}), TypeError);
  CHECK_THROWS_WITH(gradcheck(f, {Tensor::ones({2})}), Catch::Contains("f64"));
  CHECK_THROWS_AS(gradcheck(f, {}), ValueError);
  CHECK_THROWS_AS(gradcheck(f, {Tensor::ones({2}, i32)}), ValueError);
  CHECK_THROWS_AS(gradcheck(f, {Tensor()}), ValueError);
  CHECK_THROWS_AS(gradcheck(f, {x6}, {.eps = 0}), ValueError);
  CHECK_THROWS_AS(gradcheck(f, {x6}, {.max_elements = -1}), ValueError);
  const auto to_f32 = [](const std::vector<Variable>& in) { return cast(in[0], f32); };
  CHECK_THROWS_AS(gradcheck(to_f32, {x6}), TypeError);
}

namespace {
// y = x * scale * x; its declared gradient is right unless `wrong`.
struct Scaled : Module {
  ParamState weight;
  bool wrong = false;
  Scaled() { weight.add("scale", Tensor::of<double>({2}, {1.5, -0.5})); }
  Variable update(Variable x) override {
    const Variable y = x * weight["scale"] * x;
    return wrong ? record("wrong", y.value().clone(), {y}, [](const VjpContext& p) { return Grads{p.grad * 1.01}; })
                 : y;
  }
  void visit(Visitor& v) override { v("weight", weight); }
};
}  // namespace

TEST_CASE("gradcheck: a module is checked by its input and its parameters", "[gradcheck]") {
  Scaled module;
  const Tensor x = Tensor::of<double>({3, 2}, {1, 2, 3, 4, 5, 6});
  const GradcheckReport report = gradcheck(module, x);
  CHECK(report.ok);
  CHECK(report.checked == 8);
  CHECK(gradgradcheck(module, x).ok);
  CHECK(module.weight["scale"].value().values() == std::vector<double>{1.5, -0.5});

  module.wrong = true;
  const GradcheckReport bad = gradcheck(module, x);
  CHECK_FALSE(bad.ok);
  CHECK((bad.name == "x" || bad.name == "weight.scale"));
  CHECK_THAT(bad.message(), Catch::Contains("WRONG") && Catch::Contains(bad.name));

  module.to(f32);
  CHECK_THROWS_AS(gradcheck(module, x.to(f32)), TypeError);
}

namespace {

// The squared norm of d sum(tanh(x * w)) / dx, as in a gradient penalty or a physics loss.
Variable gradient_penalty(const Variable& x, const Variable& w) {
  return sum(square(gradients(sum(tanh(x * w)), {x}, {.create_graph = true})[0]));
}

struct Penalty : Module {
  ParamState weight;
  Penalty() { weight.add("w", Tensor::of<double>({3}, {0.7, -0.4, 1.1})); }
  Variable update(Variable x) override { return gradient_penalty(x, weight["w"]); }
  void visit(Visitor& v) override { v("weight", weight); }
};

}  // namespace

TEST_CASE("gradcheck takes functions that differentiate inside", "[gradcheck]") {
  const Tensor w = Tensor::of<double>({3}, {0.7, -0.4, 1.1});
  const auto f = [](const std::vector<Variable>& in) { return gradient_penalty(in[0], in[1]); };
  const auto report = gradcheck(f, {x6, w});
  CHECK_THAT(report, Passes());
  CHECK(report.checked == 9);
  CHECK_THAT(gradgradcheck(f, {x6, w}), Passes());
  const auto wrong = [&](const std::vector<Variable>& in) { return gradient_penalty(in[0], in[1].detach()); };
  CHECK_FALSE(gradcheck(wrong, {x6, w}));

  Penalty module;
  CHECK_THAT(gradcheck(module, x6), Passes());
  CHECK_THAT(gradgradcheck(module, x6), Passes());
  CHECK(module.weight["w"].value().values() == w.values());

  // It also works if the caller has turned recording off.
  const NoGradGuard off;
  CHECK_THAT(gradcheck(f, {x6, w}), Passes());
  CHECK_THAT(gradgradcheck(f, {x6, w}), Passes());
}
