// Pools, normalisations, softmax and dropout: comparison with plain loops in double and with PyTorch, in both
// dtypes and for several numbers of threads; comparison of fused backward passes with composed ones; and errors.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>

#include "support/op_inputs.hpp"
#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/ops/ops.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Matchers::Contains;

namespace {

const Variable none;

// The gradients of <f(inputs), fixed numbers>, computed by the fused loops or by ops on Variables.
std::vector<Tensor> slopes(const Variable& y, const std::vector<Variable>& inputs, bool create_graph) {
  std::vector<Tensor> all;
  const Variable seed(numbers(y.shape(), y.dtype(), 99));
  for (const Variable& g : gradients(y, inputs, seed, {.retain_graph = true, .create_graph = create_graph}))
    all.push_back(g.value());
  return all;
}

struct Case {
  std::string name;
  std::function<Variable(const std::vector<Variable>&)> f;
  std::vector<Shape> shapes;
};

const Shape volume{2, 6, 5, 4, 6};

// Shapes that are large enough for several tasks and blocks, with awkward sizes.
std::vector<Case> parallel_cases() {
  const Shape big{2, 13, 17, 19, 6}, params{6};
  const Tensor labels = labels_for({2, 13, 17, 19}, 6), some = labels_for({2, 13, 17, 19}, 6, -7, true);
  const CrossEntropyOptions all{.weight = {1, 2, 0.5, 1, 3, 0.1}, .ignore_index = -7, .label_smoothing = 0.1};
  const Pool3dArgs overlap{{3, 3, 2}, {2, 2, 1}, {{{1, 1}, {0, 2}, {1, 0}}}};
  return {{"max_pool3d", [=](auto& v) { return max_pool3d(v[0], overlap); }, {big}},
          {"avg_pool3d", [=](auto& v) { return avg_pool3d(v[0], overlap); }, {big}},
          {"upsample_nearest3d",
           [](auto& v) {
             return upsample_nearest3d(v[0], {2, 1, 2});
           },
           {big}},
          {"softmax", [](auto& v) { return softmax(v[0]); }, {big}},
          {"log_softmax", [](auto& v) { return log_softmax(v[0], 2); }, {big}},
          {"group_norm", [](auto& v) { return group_norm(v[0], 2, v[1], v[2], 1e-6); }, {big, params, params}},
          {"layer_norm", [](auto& v) { return layer_norm(v[0], 1, v[1], v[2], 1e-6); }, {big, params, params}},
          {"layer_norm of samples", [](auto& v) { return layer_norm(v[0], 4, none, none, 1e-6); }, {big}},
          {"batch_norm", [](auto& v) { return batch_norm(v[0], v[1], v[2], 1e-6).output; }, {big, params, params}},
          {"cross_entropy", [=](auto& v) { return cross_entropy(v[0], some, all); }, {big}},
          {"soft_dice_loss", [=](auto& v) { return soft_dice_loss(v[0], labels); }, {big}},
          {"dice_cross_entropy",
           [=](auto& v) { return dice_cross_entropy(v[0], some, all, {.include_background = true}); },
           {big}},
          {"focal_loss",
           [=](auto& v) {
             return focal_loss(v[0], some, {.gamma = 1.7, .alpha = {1, 2, 0.5, 1, 3, 0.1}, .ignore_index = -7});
           },
           {big}},
          {"focal_loss, gamma 2", [=](auto& v) { return focal_loss(v[0], labels); }, {big}},
          {"tversky_loss", [=](auto& v) { return tversky_loss(v[0], labels, {.alpha = 0.3, .beta = 0.7}); }, {big}},
          {"tversky_loss of samples",
           [=](auto& v) {
             return tversky_loss(v[0], some, {.include_background = true, .batch = false, .ignore_index = -7});
           },
           {big}},
          {"dropout", [](auto& v) { return dropout(v[0], 0.7, random::key_of(1)); }, {big}}};
}

std::vector<Variable> inputs_of(const Case& c, DType dtype) {
  std::vector<Variable> inputs;
  for (std::size_t i = 0; i < c.shapes.size(); ++i) inputs.push_back(leaf(c.shapes[i], dtype, i + 1));
  return inputs;
}

// Normalises x over the axes for which `same(a, b)` holds between indices, by plain loops.
Tensor plain_norm(const Tensor& x, double eps, const std::function<std::int64_t(const Index&)>& group,
                  const Tensor& scale, const Tensor& bias, const std::function<Index(const Index&)>& param) {
  std::vector<double> n, mean, var;
  const auto grow = [&](std::int64_t g) {
    const auto i = static_cast<std::size_t>(g);
    if (i >= n.size()) n.resize(i + 1), mean.resize(i + 1), var.resize(i + 1);
    return i;
  };
  each_index(x.shape(), [&](const Index& i) {
    const auto g = grow(group(i));
    n[g] += 1, mean[g] += at(x, i);
  });
  for (std::size_t g = 0; g < n.size(); ++g) mean[g] /= n[g];
  each_index(x.shape(), [&](const Index& i) {
    const auto g = grow(group(i));
    var[g] += std::pow(at(x, i) - mean[g], 2) / n[g];
  });
  return build(x.shape(), [&](const Index& i) {
    const auto g = static_cast<std::size_t>(group(i));
    return (at(x, i) - mean[g]) / std::sqrt(var[g] + eps) * at(scale, param(i)) + at(bias, param(i));
  });
}

Index last_of(const Index& i) { return {i.back()}; }

}  // namespace

TEST_CASE("fused backward passes equal the composed ones, in both dtypes", "[norm][loss][pool]") {
  for (const Case& c : parallel_cases())
    for (DType dtype : {f32, f64}) {
      INFO(c.name << ' ' << name_of(dtype));
      const auto inputs = inputs_of(c, dtype);
      const Variable y = c.f(inputs);
      const auto fused = slopes(y, inputs, false), composed = slopes(y, inputs, true);
      for (std::size_t i = 0; i < fused.size(); ++i) {
        INFO("input " << i);
        CHECK(distance(fused[i], composed[i]) < (dtype == f64 ? 1e-10 : 2e-4));
      }
      // A gradient alone equals that gradient among others.
      for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(same_bits(slopes(y, {inputs[i]}, false)[0], fused[i]));
    }
}

TEST_CASE("float agrees with double", "[norm][loss][pool]") {
  for (const Case& c : parallel_cases()) {
    INFO(c.name);
    const auto narrow = inputs_of(c, f32);
    std::vector<Variable> wide;
    for (const Variable& v : narrow) wide.push_back(Variable(v.value().to(f64), true));
    const Variable y = c.f(narrow), z = c.f(wide);
    CHECK(distance(y.value(), z.value()) < 2e-6);
    const auto a = slopes(y, narrow, false), b = slopes(z, wide, false);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(distance(a[i], b[i].to(f32).to(f64)) < 5e-6);
  }
}

TEST_CASE("any number of threads gives the same bits", "[norm][loss][pool]") {
  for (const Case& c : parallel_cases()) {
    const auto inputs = inputs_of(c, f32);
    std::vector<Tensor> first;
    for (int n : {1, 2, 3, 8}) {
      const ThreadsGuard scope(n);
      const Variable y = c.f(inputs);
      std::vector<Tensor> now = slopes(y, inputs, false);
      now.push_back(y.value());
      if (first.empty()) first = now;
      INFO(c.name << ", " << n << " threads");
      for (std::size_t i = 0; i < now.size(); ++i) CHECK(same_bits(now[i], first[i]));
    }
  }
}

TEST_CASE("pools equal plain loops", "[pool]") {
  Dice dice(8);
  for (int round = 0; round < 60; ++round) {
    Pool3dArgs a;
    const Shape s{dice.roll(1, 2), dice.roll(3, 7), dice.roll(3, 6), dice.roll(3, 6), dice.roll(1, 5)};
    for (std::size_t i = 0; i < 3; ++i) {
      a.kernel_size[i] = dice.roll(1, 3);
      a.stride[i] = dice.roll(1, 4);
      a.padding[i] = {dice.roll(0, a.kernel_size[i] - 1), dice.roll(0, a.kernel_size[i] - 1)};
    }
    const DType dtype = round % 2 ? f32 : f64;
    const Variable x = leaf(s, dtype, static_cast<std::uint64_t>(round));
    const Variable top = max_pool3d(x, a), average = avg_pool3d(x, a);
    Tensor top_dx = Tensor::zeros(s, f64), average_dx = Tensor::zeros(s, f64);
    const Tensor seed = numbers(top.shape(), dtype, 99);
    const auto flat = [&](const Index& i) {
      return (((i[0] * s[1] + i[1]) * s[2] + i[2]) * s[3] + i[3]) * s[4] + i[4];
    };
    bool equal = true;
    each_index(top.shape(), [&](const Index& o) {
      double best = -std::numeric_limits<double>::infinity(), sum = 0;
      Index where;
      std::vector<Index> window;
      each_index({a.kernel_size[0], a.kernel_size[1], a.kernel_size[2]}, [&](const Index& k) {
        Index i = o;
        for (std::size_t d = 0; d < 3; ++d) {
          i[d + 1] = o[d + 1] * a.stride[d] - a.padding[d].first + k[d];
          if (i[d + 1] < 0 || i[d + 1] >= s[d + 1]) return;
        }
        window.push_back(i);
        sum += at(x.value(), i);
        if (at(x.value(), i) > best) best = at(x.value(), i), where = i;
      });
      const double n = static_cast<double>(window.size());
      equal = equal && at(top.value(), o) == best && std::abs(at(average.value(), o) - sum / n) < tolerance(dtype);
      top_dx.data<double>()[flat(where)] += at(seed, o);
      for (const Index& i : window) average_dx.data<double>()[flat(i)] += at(seed, o) / n;
    });
    INFO("x " << s.str() << ", y " << top.shape().str());
    CHECK(equal);
    CHECK(distance(slopes(top, {x}, false)[0], top_dx) < tolerance(dtype));
    CHECK(distance(slopes(average, {x}, false)[0], average_dx) < tolerance(dtype));
  }
}

TEST_CASE("max pooling: ties go to the first, NaN wins, -infinity is a value", "[pool]") {
  const Variable x(Tensor::of<float>({1, 1, 1, 4, 1}, {2, 2, 1, 2}), true);
  const Variable y = max_pool3d(x, {{1, 1, 4}, {1, 1, 1}, {}});
  CHECK(slopes(y, {x}, false)[0].value_at(0) != 0);
  CHECK(slopes(y, {x}, false)[0].value_at(1) == 0);
  const float inf = std::numeric_limits<float>::infinity();
  const Variable odd(Tensor::of<float>({1, 1, 1, 4, 1}, {1, static_cast<float>(not_a_number), -inf, -inf}), true);
  const Variable z = max_pool3d(odd, {{1, 1, 2}, {1, 1, 2}, {}});
  CHECK(std::isnan(z.value().value_at(0)));
  CHECK(z.value().value_at(1) == -inf);
  CHECK(slopes(z, {odd}, false)[0].value_at(2) != 0);
}

TEST_CASE("upsampling repeats, global pooling averages, empty batches pass", "[pool]") {
  const Variable x = leaf({2, 2, 3, 1, 3}, f64, 1);
  const Tensor up = upsample_nearest3d(x, {2, 1, 3}).value();
  CHECK(up.shape() == Shape{2, 4, 3, 3, 3});
  CHECK(same_bits(up, build(up.shape(), [&](const Index& i) {
                    return at(x.value(), {i[0], i[1] / 2, i[2], i[3] / 3, i[4]});
                  })));
  CHECK(global_avg_pool3d(x).shape() == Shape{2, 3});
  CHECK(global_avg_pool3d(x).value().value_at(4) == Approx(at(mean(x, {1, 2, 3}).value(), {1, 1})));
  const Variable empty(Tensor({0, 4, 4, 4, 2}), true);
  for (const Variable& y : {max_pool3d(empty, {}), avg_pool3d(empty, {}), upsample_nearest3d(empty, {2, 2, 2})})
    CHECK(slopes(y, {empty}, false)[0].shape() == empty.shape());
  CHECK(max_pool3d(Variable(Tensor::ones({1, 1, 4, 4, 2})), {}).shape() == Shape{1, 0, 2, 2, 2});
}

TEST_CASE("normalisations equal plain loops", "[norm]") {
  for (DType dtype : {f32, f64}) {
    const Tensor x = numbers(volume, dtype, 4), scale = numbers({6}, dtype, 5), bias = numbers({6}, dtype, 6);
    const double eps = 1e-3;
    for (std::int64_t groups : {1, 2, 3, 6}) {
      const Tensor want = plain_norm(
          x, eps, [=](const Index& i) { return i[0] * groups + i[4] / (6 / groups); }, scale, bias, last_of);
      CHECK(distance(group_norm(x, groups, scale, bias, eps).value(), want) < tolerance(dtype));
    }
    const Tensor rows = plain_norm(
        x, eps, [](const Index& i) { return ((i[0] * 6 + i[1]) * 5 + i[2]) * 4 + i[3]; }, scale, bias, last_of);
    CHECK(distance(layer_norm(x, 1, scale, bias, eps).value(), rows) < tolerance(dtype));
    const Tensor wide_scale = numbers({4, 6}, dtype, 5), wide_bias = numbers({4, 6}, dtype, 6);
    const Tensor two = plain_norm(
        x, eps, [](const Index& i) { return (i[0] * 6 + i[1]) * 5 + i[2]; }, wide_scale, wide_bias,
        [](const Index& i) {
          return Index{i[3], i[4]};
        });
    CHECK(distance(layer_norm(x, 2, wide_scale, wide_bias, eps).value(), two) < tolerance(dtype));
    const BatchNormResult batch = batch_norm(x, scale, bias, eps);
    const Tensor want = plain_norm(
        x, eps, [](const Index& i) { return i[4]; }, scale, bias, last_of);
    CHECK(distance(batch.output.value(), want) < tolerance(dtype));
    CHECK(distance(batch.mean, mean(x, {0, 1, 2, 3}).value()) < tolerance(dtype));
    CHECK(distance(batch.var, var(x, {0, 1, 2, 3}).value()) < tolerance(dtype));
    CHECK(distance(normalize(x, batch.mean, batch.var, scale, bias, eps).value(), want) < tolerance(dtype));
  }
}

TEST_CASE("group normalisation has PyTorch's numbers", "[norm]") {
  Tensor x({3, 10, 4}, f64), seed({3, 10, 4}, f64);
  for (std::int64_t i = 0; i < 120; ++i) {
    x.data<double>()[i] = static_cast<double>((i * 37) % 101) / 25 - 2;
    seed.data<double>()[i] = static_cast<double>(i);
  }
  const Variable v(x, true);
  const Variable y = group_norm(v, 2, Variable(Tensor::of<double>({4}, {0.5, 2, 1, 0.25})),
                                Variable(Tensor::of<double>({4}, {0.1, 0.2, 0.3, 0.4})), 1e-5);
  const Variable loss = sum(y * Variable(seed));
  CHECK(loss.item() == Approx(2074.343621934601).epsilon(1e-12));
  loss.backward();
  CHECK(sum(v.grad() * Variable(seed)).item() == Approx(13057.368389930089).epsilon(1e-11));
}

TEST_CASE("a large common mean costs no accuracy", "[norm]") {
  const Shape shape{2, 9, 8, 7, 16};
  Tensor x = random::normal(random::key_of(3), shape);
  for (std::int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] += i % 16 < 8 ? 1000.0f : -20000.0f;
  const Tensor wide = x.to(f64), seed = numbers(shape, f32, 9);
  const std::vector<std::function<Variable(const Variable&)>> norms{
      [](const Variable& v) { return group_norm(v, 2, none, none, 1e-6); },
      [](const Variable& v) { return batch_norm(v, none, none, 1e-6).output; },
      [](const Variable& v) {
        return layer_norm(slice(v, 4, {0, 8, 1}), 1, none, none, 1e-6);
      }};
  for (const auto& f : norms) {
    const Variable a(x, true), b(wide, true);
    const Variable y = f(a), z = f(b);
    CHECK(distance(y.value(), z.value()) < 3e-6);
    CHECK(distance(slopes(y, {a}, false)[0], slopes(z, {b}, false)[0]) < 1e-5);
  }
}

TEST_CASE("softmax: plain values, any axis, extremes", "[norm]") {
  const Tensor x = numbers({3, 5, 70}, f64, 2);
  for (int axis : {0, 1, -1}) {
    const Tensor total = sum(exp(Variable(x)), {axis}, true).value();
    const Tensor want = build(x.shape(), [&](const Index& i) { return std::exp(at(x, i)) / at(total, i); });
    CHECK(distance(softmax(x, axis).value(), want) < 1e-12);
    CHECK(distance(softmax(x.to(f32), axis).value(), want) < 1e-6);
    CHECK(distance(log_softmax(x.to(f32), axis).value(), log(Variable(want)).value()) < 2e-6);
  }
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor extreme =
      Tensor::of<float>({3, 3}, {1e30f, 0, -inf, -100, -1e30f, -101, static_cast<float>(not_a_number), 0, 1});
  const std::vector<double> p = softmax(extreme).value().values();
  CHECK(std::vector<double>(p.begin(), p.begin() + 3) == std::vector<double>{1, 0, 0});
  CHECK(p[3] == Approx(0.7310585786));
  CHECK(p[4] == 0);
  for (std::size_t i = 6; i < 9; ++i) CHECK(std::isnan(p[i]));
  CHECK(log_softmax(extreme).value().value_at(1) == Approx(-1e30));
  CHECK(softmax(Variable(Tensor({2, 0}))).numel() == 0);
  CHECK_THROWS_AS(softmax(extreme, 2), ValueError);
  CHECK_THROWS_WITH(softmax(Variable(Tensor::ones({2}, i32))), Contains("[softmax] dtype: got i32"));
}

TEST_CASE("dropout keeps what jax.random.bernoulli keeps", "[dropout]") {
  const std::vector<int> kept{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};  // key 7, p 0.3
  const Variable x(Tensor::ones({24}), true);
  const Variable y = dropout(x, 0.3, random::key_of(7));
  y.backward(Variable(Tensor::full({24}, 2)));
  for (std::int64_t i = 0; i < 24; ++i) {
    const bool keep = kept[static_cast<std::size_t>(i)];
    CHECK(y.value().value_at(i) == (keep ? Approx(1 / 0.3) : Approx(0)));
    CHECK(x.grad().value().value_at(i) == (keep ? Approx(2 / 0.3) : Approx(0)));
  }
  CHECK(dropout(x, 1, random::key_of(7)).is(x));
  const Variable wild(Tensor::full({24}, std::numeric_limits<double>::infinity()));
  CHECK(dropout(wild, 0.3, random::key_of(7)).value().value_at(0) == 0);
  for (double keep : {0.0, -0.1, 1.5, not_a_number})
    CHECK_THROWS_WITH(dropout(x, keep, random::key_of(7)), Contains("[dropout] keep: got"));
  CHECK_THROWS_AS(dropout(Variable(Tensor::ones({2}, i32)), 0.5, random::key_of(7)), TypeError);
}

TEST_CASE("pools and normalisations say what is wrong with their arguments", "[pool][norm]") {
  const Variable x(Tensor::ones({1, 4, 4, 4, 6})), six(Tensor::ones({6})), five(Tensor::ones({5}));
  using Pool = std::function<Variable(const Variable&, const Pool3dArgs&)>;
  for (const Pool& pool : {Pool(max_pool3d), Pool(avg_pool3d)}) {
    CHECK_THROWS_WITH(pool(x, {{0, 1, 1}, {1, 1, 1}, {}}),
                      Contains("kernel_size: got (0, 1, 1); every entry must be in [1, "));
    CHECK_THROWS_WITH(pool(x, {{2, 2, 2}, {1, 0, 1}, {}}), Contains("stride: got (1, 0, 1)"));
    CHECK_THROWS_WITH(pool(x, {{2, 2, 2}, {1, 1, 1}, {{{0, 0}, {0, 2}, {0, 0}}}}),
                      Contains("padding: got (0, 2) for a kernel of 2"));
    CHECK_THROWS_WITH(pool(x, {{2, 2, 2}, {1, 1, 1}, {{{-1, 0}, {0, 0}, {0, 0}}}}), Contains("padding: got (-1, 0)"));
    CHECK_THROWS_WITH(pool(six, {}), Contains("x: got shape (6,); must be of rank 5"));
    CHECK_THROWS_AS(pool(Variable(Tensor::ones({1, 2, 2, 2, 1}, i32)), {}), TypeError);
    CHECK_THROWS_WITH(pool(Variable(Tensor({1, 0, 2, 2, 1})), {}), Contains("every extent must be at least 1"));
  }
  CHECK_THROWS_WITH(upsample_nearest3d(x, {1, 0, 1}), Contains("[upsample_nearest3d] scale: got (1, 0, 1)"));
  CHECK_THROWS_AS(global_avg_pool3d(six), ValueError);

  for (std::int64_t groups : {0, -1, 4, 7})
    CHECK_THROWS_WITH(group_norm(x, groups, none, none, 1e-6), Contains("[group_norm] groups: got "));
  CHECK_THROWS_WITH(group_norm(x, 2, five, none, 1e-6),
                    Contains("[group_norm] scale: got shape (5,); must have 6 entries"));
  CHECK_THROWS_WITH(batch_norm(x, six, five, 1e-6), Contains("[batch_norm] bias: got shape (5,)"));
  CHECK_THROWS_AS(batch_norm(x, Variable(Tensor::ones({6}, f64)), none, 1e-6), TypeError);
  CHECK_THROWS_WITH(batch_norm(Variable(Tensor({0, 2, 6})), none, none, 1e-6), Contains("at least one element"));
  CHECK_THROWS_WITH(layer_norm(x, 6, none, none, 1e-6), Contains("[layer_norm] axes: got 6; must be in [1, 5]"));
  CHECK_THROWS_WITH(layer_norm(x, 2, six, none, 1e-6), Contains("must have 24 entries"));
  CHECK_THROWS_WITH(layer_norm(x, 1, none, none, -1), Contains("eps: got -1"));
  CHECK_THROWS_WITH(normalize(x, five.value(), six.value(), none, none, 1e-6),
                    Contains("[normalize] mean: got shape (5,)"));
  CHECK_THROWS_AS(normalize(x, Tensor(), six.value(), none, none, 1e-6), ValueError);
  CHECK_THROWS_AS(group_norm(six, 2, none, none, 1e-6), ValueError);
  CHECK(group_norm(Variable(Tensor({0, 3, 6}), true), 2, six, six, 1e-6).shape() == Shape{0, 3, 6});
}
