// Writes to an input after an op: the op's value is that of the input at the call, and a gradient that needs the old
// content is refused (framework/base/storage.hpp).
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include <voxgrad/voxgrad.hpp>
#include <voxgrad/xtensor.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xview.hpp>

#include "support/every_layer.hpp"
#include "support/op_cases/op_cases.hpp"
#include "support/plain.hpp"

using namespace vg;
using Catch::Matchers::Contains;

namespace {

constexpr double junk = 77;

void overwrite(Tensor t) {
  dispatch(t.dtype(), [&](auto type) {
    using T = decltype(type);
    T* const p = t.data<T>();
    std::fill(p, p + t.numel(), static_cast<T>(junk));
  });
}

template <class T>
void overwrite(T* pointer, std::int64_t n) {
  std::fill(pointer, pointer + n, static_cast<T>(junk));
}

/// A way in which a caller writes to the inputs of an op: what it holds before the call, and what it does afterwards.
struct Way {
  std::string name;
  bool keeps_tensors, keeps_pointers, keeps_views;
};
const std::vector<Way> ways{{"by a tensor that shares the memory", true, false, false},
                            {"by the variable", false, false, false},
                            {"by a pointer from before the call", false, true, false},
                            {"by a view from before the call", false, false, true}};

/// Inputs, and handles with which to write to them.
class Inputs {
 public:
  Inputs(const std::vector<Tensor>& values, const Way& way, bool requires_grad) {
    for (const Tensor& value : values) {
      Tensor t = value.clone();
      if (way.keeps_pointers) pointers_.push_back(t.data<double>());
      if (way.keeps_views) views_.push_back(t.array<double>());
      if (way.keeps_tensors) tensors_.push_back(t);
      variables.emplace_back(t, requires_grad);
    }
  }
  void overwrite_all() {
    for (std::size_t i = 0; i < variables.size(); ++i) {
      if (!pointers_.empty())
        overwrite(pointers_[i], variables[i].numel());
      else if (!views_.empty())
        views_[i] = junk;
      else
        overwrite(tensors_.empty() ? variables[i].value() : tensors_[i]);
    }
  }
  std::vector<Variable> variables;

 private:
  std::vector<double*> pointers_;
  std::vector<ArrayView<double>> views_;
  std::vector<Tensor> tensors_;
};

/// Equal up to rounding, because fused ops round differently.
bool alike(const Tensor& a, const Tensor& b) { return vg::test::distance(a, b) < 1e-12; }

/// Whether y is an input with another shape or name (reshape, Identity), which shares memory by design.
bool shares_memory(const Variable& y, const std::vector<Variable>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(),
                     [&](const Variable& in) { return in.value().storage() == y.value().storage(); });
}

Variable call(const vg::test::OpCase& c, const std::vector<Variable>& inputs) {
  random::Generator generator(3);
  const random::GeneratorGuard scope(generator);
  return c.f(inputs);
}

}  // namespace

TEST_CASE("an op's value is that of its inputs at the call, also if they are written to before it is read",
          "[writes]") {
  for (const vg::test::OpCase& c : vg::test::all_op_cases()) {
    const std::vector<Tensor> values = vg::test::case_inputs(c);
    const Tensor expected = call(c, std::vector<Variable>(values.begin(), values.end())).value().clone();
    for (const Way& way : ways)
      for (const bool records : {false, true}) {
        INFO(c.op << " " << c.note << ", " << way.name << (records ? ", recorded" : ""));
        Inputs in(values, way, records);
        const Variable y = call(c, in.variables);
        in.overwrite_all();
        CHECK((shares_memory(y, in.variables) || alike(y.value(), expected)));
      }
  }
}

TEST_CASE("a lazy value is right after a write to its inputs", "[writes]") {
  const Tensor x = random::normal({1, 2}, {1, 4, 5, 6, 4}, 0, 1, f64), bias = random::normal({3, 4}, {4}, 0, 1, f64);
  const auto chain = [&](const std::function<void(const std::vector<Variable>&)>& between) {
    const Variable in(x.clone()), b(bias.clone());
    const Variable h = bias_add(in, b), n = group_norm(h, 2, {}, {}, 1e-5), s = n + h, c = concat({s, n}, -1);
    between({in, b, h, n, s});
    return c.value();
  };
  const Tensor expected = chain([](const auto&) {});
  for (std::size_t i = 0; i < 5; ++i) {
    INFO(i);
    CHECK(alike(expected, chain([&](const auto& all) { overwrite(all[i].value()); })));
  }
}

TEST_CASE("a layer's value is that of its input and states at the call", "[writes]") {
  for (const ::test::LayerCase& c : ::test::every_layer()) {
    c.model->to(f64);
    const Tensor x = random::normal({1, 2}, c.input, 0, 1, f64);
    for (const bool training : {false, true})
      for (const bool records : {false, true}) {
        c.model->train(training);
        const auto out = [&](const Variable& in) {
          random::seed(5);
          for (const auto& [path, state] : c.model->states(StateKind::random))
            State(state).set("key", Tensor::of<std::int32_t>({2}, {1, 2}));
          return (*c.model)(in);
        };
        const auto quiet = [&](const auto& f) {
          const RecordingGuard scope(records);
          return f();
        };
        INFO(c.model->kind() << (training ? ", training" : "") << (records ? ", recorded" : ""));
        const Tensor expected = quiet([&] { return out(Variable(x)).value(); });
        for (const Way& way : ways) {
          INFO(way.name);
          Inputs in({x}, way, records);
          const Variable y = quiet([&] { return out(in.variables[0]); });
          in.overwrite_all();
          CHECK((shares_memory(y, in.variables) || alike(y.value(), expected)));
        }
        for (const bool by_handle : {false, true}) {  // the parameters
          INFO((by_handle ? "states, by a tensor" : "states, by writable()"));
          const Variable y = quiet([&] { return out(Variable(x)); });
          for (auto [path, state] : c.model->states())
            for (const std::string& leaf : state.leaves()) {
              if (!is_float(state[leaf].dtype())) continue;
              const Tensor before = state[leaf].value().clone();
              overwrite(by_handle ? state[leaf].value() : state.writable(leaf));
              state.replace(leaf, before);
            }
          CHECK(alike(y.value(), expected));
        }
      }
  }
}

TEST_CASE("a buffer that a loop fills again gives each volume's own value", "[writes]") {
  InstanceNorm3d in({.in_size = {2}});
  const NoGradGuard no_grad;
  Tensor buffer({1, 3, 3, 3, 2}, f32);
  std::vector<Variable> outs;
  for (std::uint32_t i = 0; i < 3; ++i) {
    const Tensor v = random::normal({1, i}, buffer.shape(), 3.0 * i, 1);
    std::copy_n(v.data<float>(), v.numel(), buffer.data<float>());
    outs.push_back(in(buffer));
  }
  for (const Variable& y : outs) CHECK(std::abs(sum(y).item()) < 1e-3);
}

TEST_CASE("values stay lazy if their inputs cannot be written to", "[writes]") {
  const Variable x(random::normal({1, 2}, {2, 3, 4, 5, 4}), true);
  CHECK(relu(group_norm(x, 2, {}, {}, 1e-5)).op() == "norm_activation");
  const Variable h = x * x;
  CHECK(relu(group_norm(h, 2, {}, {}, 1e-5)).op() == "norm_activation");
  Tensor held = h.value();
  CHECK(relu(group_norm(h, 2, {}, {}, 1e-5)).op() == "relu");
  Variable filled(Tensor({2, 4}, f32), true);
  filled.mutable_value().data<float>()[0] = 1;
  CHECK(relu(group_norm(filled, 2, {}, {}, 1e-5)).op() == "relu");
}

TEST_CASE("the gradient of a value that was changed later is refused with the op's name", "[writes][autograd]") {
  Tensor t = Tensor::of<float>({1}, {3});
  const Variable v(t, true);
  const Variable y = v * v;
  t.data<float>()[0] = 100;
  CHECK_THROWS_WITH(y.backward(), Contains("[mul] backward: input 0, f32 (1,), was written to after the op had saved"));
  CHECK_FALSE(v.grad().defined());
  t.data<float>()[0] = 3;  // its old content
  y.backward();
  CHECK(v.grad().item() == 6);

  const Variable e = exp(Variable(Tensor::ones({2}), true));
  overwrite(e.value());
  CHECK_THROWS_WITH(sum(e).backward(), Contains("[exp] backward: its result"));
}

TEST_CASE("each op's gradient after a write is the old one or an error", "[writes][autograd]") {
  for (const vg::test::OpCase& c : vg::test::all_op_cases()) {
    const std::vector<Tensor> values = vg::test::case_inputs(c);
    const auto grads_of = [&](const Variable& y, const std::vector<Variable>& inputs, bool again) {
      return gradients(y, inputs, Variable(Tensor::ones(y.shape(), f64)),
                       {.create_graph = again, .allow_unused = true});
    };
    Inputs before(values, ways[0], true);
    const std::vector<Variable> expected = grads_of(call(c, before.variables), before.variables, false);
    for (const Way& way : {ways[0], ways[1], ways[3]})
      for (const bool again : {false, true})
        for (const bool result : {false, true}) {
          INFO(c.op << " " << c.note << ", " << way.name << (again ? ", with a graph" : "")
                    << (result ? ", result" : ""));
          Inputs in(values, way, true);
          const Variable y = call(c, in.variables);
          y.value();
          if (result)
            overwrite(y.value());
          else
            in.overwrite_all();
          try {
            const std::vector<Variable> grads = grads_of(y, in.variables, again);
            for (std::size_t i = 0; i < grads.size(); ++i)
              if (grads[i].defined()) CHECK(vg::test::distance(grads[i].value(), expected[i].value()) < 1e-12);
          } catch (const ValueError& error) {
            CHECK_THAT(error.what(), Contains("] backward: ") && Contains("was written to"));
          }
        }
  }
}

TEST_CASE("labels and indices that were changed later are refused, too", "[writes][autograd]") {
  const Variable x(random::normal({1, 2}, {2, 3, 4}), true);
  const std::vector<std::function<Variable(const Tensor&)>> ops{
      [&](const Tensor& labels) { return cross_entropy(x, labels); },
      [&](const Tensor& labels) { return soft_dice_loss(x, labels); },
      [&](const Tensor& labels) { return dice_cross_entropy(x, labels); },
      [&](const Tensor& labels) { return focal_loss(x, labels); },
      [&](const Tensor& labels) { return tversky_loss(x, labels); },
      [&](const Tensor& indices) { return sum(gather(x, indices, 2)); },
      [&](const Tensor& indices) { return sum(scatter_add(x, indices, 0, 4)); }};
  for (std::size_t i = 0; i < ops.size(); ++i)
    for (const bool create_graph : {false, true}) {
      INFO(i);
      Tensor labels = Tensor::of<std::int32_t>({2, 3}, {0, 1, 2, 3, 0, 1});
      const Variable y = ops[i](labels);
      labels.data<std::int32_t>()[2] = 99;
      CHECK_THROWS_WITH(y.backward({.create_graph = create_graph}),
                        Contains("backward: input 1, i32 (2, 3), was written to"));
    }
}

TEST_CASE("a read through a tensor that is not const is no write", "[writes][autograd]") {
  const Variable x(Tensor::of<float>({2}, {1, 2}), true);
  const Variable y = sum(x * x);
  Tensor handle = x.value();
  const float first = handle.data<float>()[0];
  CHECK(handle.array<float>()(1) == 2 * first);
  y.backward();
  CHECK(x.grad().value().values() == std::vector<double>{2, 4});
}

TEST_CASE("a leaf may be written to and used again; each graph uses its own content", "[writes][autograd]") {
  Variable x(Tensor::of<float>({1}, {2}), true);
  for (int i = 1; i <= 40; ++i) {
    x.mutable_value().data<float>()[0] = static_cast<float>(i);
    x.zero_grad();
    (x * x).backward();
    CHECK(x.grad().item() == 2 * i);
  }
  const Variable old = x * x;
  x.mutable_value().data<float>()[0] = 5;
  const Variable now = x * x;
  CHECK_THROWS_AS(old.backward(), ValueError);
  x.zero_grad();
  now.backward();
  CHECK(x.grad().item() == 10);
}

TEST_CASE("a view keeps its memory, and assignment uses its own shape", "[tensor]") {
  const auto view = (Variable(Tensor::ones({2, 3})) * 2.0).value().array<float>();
  std::vector<Tensor> others;  // one of them reuses the freed block
  for (int i = 0; i < 8; ++i) others.push_back(Tensor::full({2, 3}, 9));
  CHECK(xt::sum(view)() == 12);
  auto copy = Tensor::ones({4}).array<float>();
  CHECK(copy(3) == 1);

  Tensor t({2, 3});
  t.array<float>() = 7.f;
  CHECK(t.values() == std::vector<double>(6, 7));
  t.array<float>() = xt::transpose(xt::xarray<float>{{1, 2}, {3, 4}, {5, 6}});
  CHECK(t.values() == std::vector<double>{1, 3, 5, 2, 4, 6});
  auto a = t.array<float>();
  a += 1.f;
  xt::noalias(a) = a * 2.f;
  xt::view(a, 1, xt::all()) = 0.f;
  CHECK(t.values() == std::vector<double>{4, 8, 12, 0, 0, 0});
  const xt::xarray<float> turned = xt::ones<float>({3, 2}), row = xt::ones<float>({3});
  CHECK_THROWS_WITH((a = turned), Contains("got an expression of shape (3, 2); must be (2, 3)"));
  CHECK_THROWS_AS((xt::noalias(a) = turned * 1.f), ValueError);
  CHECK_THROWS_AS((a = row), ValueError);
  CHECK_THROWS_AS((a = Tensor::ones({3, 2}).array<float>()), ValueError);
  CHECK(t.values() == std::vector<double>{4, 8, 12, 0, 0, 0});
}
