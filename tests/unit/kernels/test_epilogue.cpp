// Compares epilogues of convolutions (framework/kernels/common/epilogue.hpp) with the same work in a separate pass, and
// tests lazy convolutions, which use them.
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include <voxgrad/voxgrad.hpp>

#include "tests/support/kernels/conv3d_cases.hpp"
#include "tests/support/kernels/naive_conv3d.hpp"
#include "tests/support/threads_guard.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"

namespace {

using namespace vg::test;
using std::int64_t;
using vg::kernels::ChannelMap;
using vg::kernels::Epilogue;
using vg::kernels::Moments;

template <class T>
std::vector<T> normal(int64_t n, std::uint32_t seed, double mean = 0) {
  const vg::Tensor t = vg::random::normal({seed, 2}, {n}, mean, 1, vg::f64);
  return std::vector<T>(t.data<double>(), t.data<double>() + n);
}

/// A problem with its operands; run() computes y with an epilogue.
template <class T>
struct Case {
  Conv3dProblem p;
  std::vector<T> x = normal<T>(x_size(p), 1), w = normal<T>(w_size(p), 2);
  std::vector<T> centre = normal<T>(p.out_channels, 3), factor = normal<T>(p.out_channels, 4),
                 shift = normal<T>(p.out_channels, 5);

  ChannelMap<T> map() const {
    return {y_size(p) / p.out_channels,
            p.out_channels,
            centre.data(),
            factor.data(),
            shift.data(),
            {vg::kernels::Activation::Kind::leaky_relu, 0.25}};
  }
  std::vector<T> run(const Epilogue<T>& epilogue) const {
    std::vector<T> y(static_cast<std::size_t>(y_size(p)), T(NAN));
    vg::kernels::conv3d_forward_concat<T>(p, vg::kernels::single(x.data(), p.in_channels), w.data(), y.data(),
                                          epilogue);
    return y;
  }
};

/// The mean per sample and channel, and the sum of squares about it.
struct Sums {
  std::vector<double> means, squares;
};

template <class T>
Sums sums_of(const Conv3dProblem& p, const std::vector<T>& y) {
  const auto n = static_cast<std::size_t>(p.batch * p.out_channels), rows = y.size() / n;
  Sums s{std::vector<double>(n), std::vector<double>(n)};
  const auto channels = static_cast<std::size_t>(p.out_channels);
  for (std::size_t b = 0; b < n; b += channels)
    for (std::size_t c = 0; c < channels; ++c) {
      const auto at = [&](std::size_t row) {
        return static_cast<long double>(y[(b / channels * rows + row) * channels + c]);
      };
      long double sum = 0, squares = 0;
      for (std::size_t r = 0; r < rows; ++r) sum += at(r);
      const long double mean = sum / static_cast<long double>(rows);
      for (std::size_t r = 0; r < rows; ++r) squares += (at(r) - mean) * (at(r) - mean);
      s.means[b + c] = static_cast<double>(mean);
      s.squares[b + c] = static_cast<double>(squares);
    }
  return s;
}

/// The same sums from the chunks, combined with Chan's formula.
Sums sums_of(const Conv3dProblem& p, const Moments& moments) {
  const auto n = static_cast<std::size_t>(p.batch * p.out_channels),
             channels = static_cast<std::size_t>(p.out_channels);
  Sums s{std::vector<double>(n), std::vector<double>(n)};
  std::vector<double> rows(n);
  moments.each([&](const Moments::Chunk& chunk) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::size_t i = static_cast<std::size_t>(chunk.sample) * channels + c;
      const double count = static_cast<double>(chunk.rows), sum = chunk.stats[channels + c],
                   mean = chunk.stats[c] + sum / count, apart = mean - s.means[i];
      s.squares[i] +=
          chunk.stats[2 * channels + c] - sum * (sum / count) + apart * apart * rows[i] * count / (rows[i] + count);
      rows[i] += count;
      s.means[i] += apart * count / rows[i];
    }
  });
  for (const double r : rows) CHECK(r == static_cast<double>(y_size(p) / (p.batch * p.out_channels)));
  return s;
}

template <class T>
void check(const Conv3dProblem& p) {
  const Case<T> of{p};
  const std::vector<T> raw = of.run({});
  std::vector<T> mapped(raw.size());
  vg::kernels::map_channels<T>(of.map(), raw.data(), nullptr, mapped.data());
  CHECK(of.run(Epilogue<T>(of.map())) == mapped);

  Moments moments(y_size(p) / (p.batch * p.out_channels), p.out_channels);
  CHECK(of.run(Epilogue<T>(moments)) == raw);
  const Sums want = sums_of(p, raw), got = sums_of(p, moments);
  double worst = 0;
  for (std::size_t i = 0; i < want.means.size(); ++i)
    worst = std::max({worst, std::abs(got.means[i] - want.means[i]) / (1 + std::abs(want.means[i])),
                      std::abs(got.squares[i] - want.squares[i]) / (1 + want.squares[i])});
  CHECK(worst < 1e-13);
}

/// Runs f with every kernel set that this CPU has and every algorithm.
template <class F>
void each_variant(const F& f) {
  for (const std::string& set : vg::available_kernel_sets())
    for (const std::string& algorithm : vg::conv3d_algorithms()) {
      const vg::KernelSetGuard set_scope(set);
      const vg::Conv3dAlgorithmGuard algorithm_scope(algorithm);
      INFO("VOXGRAD_KERNELS=" << set << " VOXGRAD_CONV3D=" << algorithm);
      f();
    }
}

std::vector<Conv3dProblem> problems() {
  std::vector<Conv3dProblem> all{cubic(3, {6, 7, 9}, 8, 16, 3, 1, 1),
                                 cubic(2, {5, 6, 7}, 16, 21, 3, 1, 1),  // whole vectors or not
                                 cubic(2, {6, 7, 8}, 1, 16, 3, 1, 1),
                                 cubic(2, {5, 5, 6}, 4, 3, 3, 1, 1),  // a stem, a head
                                 cubic(3, {5, 6, 7}, 12, 20, 3, 2, 1),
                                 cubic(5, {3, 2, 3}, 6, 24, 1, 1, 0),  // rows that contain several samples
                                 cubic(2, {6, 5, 9}, 16, 16, 3, 1, 1, 16),
                                 cubic(2, {6, 5, 9}, 96, 96, 3, 1, 1, 96),
                                 cubic(2, {6, 5, 9}, 16, 32, 3, 1, 1, 4),
                                 cubic(1, {2, 2, 2}, 64, 64, 3, 1, 1),  // few tiles
                                 with_kernel(cubic(2, {6, 6, 6}, 8, 8, 1, 1, 0), {3, 1, 1})};
  Conv3dProblem dilated = cubic(2, {9, 9, 11}, 8, 16, 3, 1, 2);
  for (int a = 0; a < 3; ++a) {
    dilated.rhs_dilation[a] = 2;
    set_out_size(dilated, a, 2);
  }
  all.push_back(dilated);
  for (const std::int64_t taps : {2, 3}) {
    Conv3dProblem up = cubic(2, {4, 3, 5}, 8, 16, taps, 1, 1);
    for (int a = 0; a < 3; ++a) {
      up.lhs_dilation[a] = 2;
      set_out_size(up, a, 1);
    }
    all.push_back(up);
  }
  Conv3dProblem sparse = with_kernel(cubic(2, {3, 4, 5}, 8, 16, 1, 1, 0), {1, 3, 3});  // most outputs have no tap
  sparse.lhs_dilation[0] = 4;
  set_out_size(sparse, 0, 0);
  all.push_back(sparse);
  return all;
}

}  // namespace

TEST_CASE("epilogue: a map and sums are those of a pass by itself", "[kernels][epilogue]") {
  for (const Conv3dProblem& p : problems()) {
    INFO(to_line(p));
    each_variant([&] {
      check<float>(p);
      check<double>(p);
    });
  }
}

// With non-temporal stores the epilogue is applied while the outputs are in L2, or after they are stored.
TEST_CASE("epilogue: large volumes", "[kernels][epilogue][large]") {
  for (const auto& [in, out, groups, k] :
       {std::array<int64_t, 4>{16, 16, 1, 3}, {1, 16, 1, 3}, {32, 32, 32, 3}, {16, 32, 1, 1}}) {
    const Conv3dProblem p = cubic(2, {48, 50, 52}, in, out, k, 1, k / 2, groups);
    INFO(to_line(p));
    check<float>(p);
  }
}

TEST_CASE("epilogue: the same chunks for any number of threads", "[kernels][epilogue][threads]") {
  for (const Conv3dProblem& p : problems()) {
    std::vector<std::vector<double>> pieces;
    for (const int threads : {1, 2, 3, 8}) {
      const ThreadsGuard scope(threads);
      Moments moments(y_size(p) / (p.batch * p.out_channels), p.out_channels);
      Case<float>{p}.run(Epilogue<float>(moments));
      pieces.emplace_back();
      moments.each([&](const Moments::Chunk& chunk) {
        pieces.back().insert(pieces.back().end(), chunk.stats.begin(), chunk.stats.end());
      });
    }
    for (const auto& of_threads : pieces) CHECK(of_threads == pieces[0]);
  }
}

TEST_CASE("epilogue: sums over data far from zero", "[kernels][epilogue]") {
  Moments moments(1000, 3);
  moments.begin(4);
  const std::vector<double> x = normal<double>(3000, 1, 1e9);
  for (const int64_t task : {0, 1, 2, 3}) moments.add(task, 250 * task, 250, x.data() + 750 * task);
  Conv3dProblem p = cubic(1, {10, 10, 10}, 1, 3, 1, 1, 0);
  const Sums got = sums_of(p, moments), want = sums_of(p, x);
  for (std::size_t c = 0; c < 3; ++c) {
    CHECK(got.means[c] == Approx(want.means[c]).epsilon(1e-15));
    CHECK(got.squares[c] == Approx(want.squares[c]).epsilon(1e-9));
  }
}

namespace {

using namespace vg;

const Conv3dArgs same{.padding = {{{1, 1}, {1, 1}, {1, 1}}}};

Variable volume(std::uint32_t seed, bool trained) {
  return Variable(random::normal({seed, 1}, {2, 5, 6, 7, 4}), trained);
}
Variable weights(std::uint32_t seed, bool trained) {
  return Variable(random::normal({seed, 2}, {3, 3, 3, 4, 8}), trained);
}

double distance(const Variable& a, const Variable& b) { return max(abs(a - b)).item() / max(abs(b)).item(); }

}  // namespace

TEST_CASE("a convolution is lazy, unless its input may change", "[fusion]") {
  const Variable w = weights(1, false);
  CHECK(lazy_op_of(conv3d(volume(1, false), w, same)) != nullptr);
  CHECK(lazy_op_of(conv3d(volume(1, true) + 1.0, w, same)) != nullptr);
  Tensor memory = random::normal({1, 1}, {2, 5, 6, 7, 4});
  const Variable y = conv3d(Variable(memory), w, same);
  CHECK(lazy_op_of(y) == nullptr);
  const Variable want = conv3d(volume(1, false), w, same);
  memory.data<float>()[0] = 100;
  CHECK(y.value().values() == want.value().values());

  const Conv3dArgs huge{.padding = {{{1 << 29, 1 << 29}, {1 << 19, 1 << 19}, {1, 1}}}};  // larger than any memory
  CHECK_THROWS_AS(conv3d(volume(1, false), w, huge), std::bad_alloc);

  Variable chain = volume(2, false);  // only the last convolution is lazy
  const Variable square_weights(random::normal({3, 3}, {1, 1, 1, 4, 4}));
  for (int i = 0; i < 20000; ++i) chain = conv3d(chain, square_weights * 0.0);
  CHECK(max(abs(chain)).item() == 0);
}

TEST_CASE("fusion: statistics, biases and activations in the convolution's pass", "[fusion]") {
  const bool trained = GENERATE(false, true);
  const auto with = [&](bool fuse, const auto& f) {
    const FusionGuard scope(fuse);
    const Variable w = weights(1, trained), h = volume(1, trained) * 2.0;
    return f(h, w);
  };
  const auto check_equal = [&](const auto& f, double eps) {
    const Variable fused = with(true, f), plain = with(false, f);
    CHECK(distance(fused, plain) <= eps);
  };
  const Variable bias(random::normal({5, 5}, {8}), trained), scale(random::normal({6, 6}, {8}), trained);
  const Tensor mean = random::normal({7, 7}, {8}), var = Tensor::ones({8});
  check_equal([&](auto x, auto w) { return relu(bias_add(conv3d(x, w, same), bias)); }, 0);
  check_equal([&](auto x, auto w) { return bias_add(conv3d(x, w, same), bias) * 1.0; }, 0);
  check_equal([&](auto x, auto w) { return leaky_relu(bias_add(conv3d(x, w, same), bias), 0.1); }, 0);
  check_equal([&](auto x, auto w) { return group_norm(conv3d(x, w, same), 2, scale, bias, 1e-5) * 1.0; }, 1e-6);
  check_equal([&](auto x, auto w) { return relu(group_norm(bias_add(conv3d(x, w, same), bias), 8, scale, {}, 1e-5)); },
              1e-6);
  check_equal([&](auto x, auto w) { return relu(batch_norm(conv3d(x, w, same), scale, bias, 1e-5).output); }, 1e-6);
  check_equal([&](auto x, auto w) { return relu(normalize(conv3d(x, w, same), mean, var, scale, bias, 1e-5)); }, 1e-6);
  check_equal(
      [&](auto x, auto w) { return normalize(bias_add(conv3d(x, w, same), bias), mean, var, scale, {}, 1e-5) * 1.0; },
      1e-6);
  // values that are used twice
  check_equal(
      [&](auto x, auto w) {
        const Variable y = conv3d(x, w, same);
        return relu(bias_add(y, bias)) + y;
      },
      1e-6);
  check_equal(
      [&](auto x, auto w) {
        const Variable y = bias_add(conv3d(x, w, same), bias);
        return relu(y) * y;
      },
      1e-6);
  check_equal(
      [&](auto x, auto w) {
        const Variable y = conv3d(x, w, same), z = normalize(y, mean, var, scale, bias, 1e-5);
        return relu(z) * z + y;
      },
      1e-6);
}

TEST_CASE("fusion: in Sequential, only the activated outputs of a convolution are stored", "[fusion][memory]") {
  const bool constant = GENERATE(false, true);
  Sequential net(Conv3d({.in_size = {16, 16, 16, 4}, .out_channels = 4, .kernel_size = 1}), ReLU(),
                 Conv3d({.out_channels = 16, .kernel_size = 3, .b_init = init::Normal(0.5)}));
  if (constant) net.push_back(std::make_shared<BatchNorm3d>(BatchNorm3dOptions{}));
  net.push_back(std::make_shared<LeakyReLU>());
  const Variable x(random::normal({1, 1}, {8, 16, 16, 16, 4}));
  const NoGradGuard no_grad;
  const Conv3dAlgorithmGuard direct("direct");  // needs no memory for tiles
  const auto peak = [&](bool fuse) {
    const FusionGuard scope(fuse);
    net(x).value();
    memory::reset_peak();
    const std::int64_t before = memory::stats().in_use;
    net(x).value();
    return memory::stats().peak - before;
  };
  const std::int64_t bytes = 8 * 16 * 16 * 16 * 16 * 4;
  CHECK(peak(true) < bytes * 7 / 4);  // y and an input of a quarter of its size
  CHECK(peak(false) > bytes * 2);
}

TEST_CASE("fusion: Sequential pools before it activates, to the same bits", "[fusion]") {
  const double slope = GENERATE(-1.0, -0.5, 0.0, 0.25);  // -1: ReLU
  const auto run = [&](bool fuse) {
    const FusionGuard scope(fuse);
    random::Generator generator(7);
    const random::GeneratorGuard drawn(generator);
    Sequential net(Conv3d({.in_size = {6, 7, 9, 2}, .out_channels = 5, .kernel_size = 3, .b_init = init::Normal(0.5)}));
    net.push_back(slope == -1.0 ? std::shared_ptr<Module>(std::make_shared<ReLU>())
                                : std::make_shared<LeakyReLU>(LeakyReLUOptions{slope}));
    net.push_back(std::make_shared<MaxPool3d>(MaxPool3dOptions{.kernel_size = 3, .stride = 2, .padding = 1}));
    const Variable x(random::normal({1, 1}, {2, 6, 7, 9, 2}), true);
    const Variable y = net(x);
    sum(y * y * y).backward();
    std::vector<std::vector<double>> out{y.value().values(), x.grad().value().values()};
    for (const auto& [path, state] : net.parameters())
      for (const std::string& leaf : state.leaves()) out.push_back(state[leaf].grad().value().values());
    return out;
  };
  const auto fused = run(true), plain = run(false);
  CHECK(fused[0] == plain[0]);
  CHECK(fused[1] == plain[1]);
  REQUIRE(fused.size() == 4);
  CHECK(fused[2] == plain[2]);  // gradient of the weights; that of the bias sums other numbers
  for (std::size_t i = 0; i < plain[3].size(); ++i) CHECK(fused[3][i] == Approx(plain[3][i]).epsilon(1e-5));
}

TEST_CASE("fusion: max_pool3d pools before a donated bias sum, to the same bits", "[fusion]") {
  const Pool3dArgs overlapping{.kernel_size = {3, 3, 3}, .stride = {2, 2, 2}, .padding = {{{1, 1}, {1, 1}, {1, 1}}}};
  for (const Pool3dArgs& args : {Pool3dArgs{}, overlapping}) {
    const Variable x(random::normal({1, 1}, {2, 4, 5, 6, 3}), true), b(random::normal({1, 2}, {3}), true);
    const Variable seed(random::normal({1, 3}, max_pool3d(x, args).shape().vec()));
    const auto run = [&](bool fuse) {
      const FusionGuard scope(fuse);
      const Variable y = max_pool3d(bias_add(x, b), args);
      CHECK(y.op() == (fuse ? "bias_add" : "max_pool3d"));
      auto grads = gradients(y, {x, b}, seed);
      grads.push_back(y);
      return grads;
    };
    const auto fused = run(true), plain = run(false);
    CHECK(fused[0].value().values() == plain[0].value().values());
    CHECK(fused[2].value().values() == plain[2].value().values());
    for (std::int64_t i = 0; i < 3; ++i)
      CHECK(fused[1].value().value_at(i) == Approx(plain[1].value().value_at(i)).epsilon(1e-5));
    const Variable sum = bias_add(x, b), kept = max_pool3d(sum, args);  // the caller has a handle of sum
    CHECK(kept.op() == "max_pool3d");
    CHECK(gradients(kept, {sum}, seed)[0].value().values() == plain[0].value().values());
  }
}

TEST_CASE("fusion: gelu absorbs a donated bias sum, to the same bits", "[fusion]") {
  for (const DType dtype : {f32, f64}) {
    const auto draw = [&](std::uint32_t key, const Shape& shape) {
      return Variable(random::normal({3, key}, shape.vec()).to(dtype), true);
    };
    const Variable x = draw(1, {2, 5, 6, 7, 4}), w = draw(2, {3, 3, 3, 4, 24}), b = draw(3, {24});
    const auto run = [&](bool fuse, bool twice) {
      const FusionGuard scope(fuse);
      const Variable y = gelu(bias_add(conv3d(x, w, {}), b));
      CHECK(y.op() == (fuse ? "bias_gelu" : "gelu"));
      auto grads = gradients(sum(y * y), {x, w, b}, {.create_graph = twice});
      if (twice) grads = gradients(sum(grads[0] * grads[0]) + sum(grads[2] * grads[2]), {x, w, b});
      return grads;
    };
    for (const bool twice : {false, true}) {
      const auto fused = run(true, twice), plain = run(false, twice);
      for (std::size_t i = 0; i < 2; ++i) CHECK(distance(fused[i], plain[i]) == 0);
      CHECK(distance(fused[2], plain[2]) <= (dtype == f32 ? 1e-6 : 1e-13));
    }
    const Variable sum_of = bias_add(x, draw(4, {4})), y = gelu(sum_of);  // the caller has a handle of sum_of
    CHECK(y.op() == "gelu");
    CHECK(gradients(sum(y), {sum_of})[0].shape() == x.shape());
  }
}
