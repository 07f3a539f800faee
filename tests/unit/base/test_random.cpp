// Random numbers: comparison with JAX 0.10.2 and brainstate 0.5.4 (values below and tests/golden/initializers.json),
// independence of threads, and properties of the draws.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "support/golden.hpp"
#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Matchers::Contains;

namespace {

const random::Key key7 = random::key_of(7);

std::vector<std::int64_t> whole(const Tensor& t) {
  std::vector<std::int64_t> v;
  for (double x : t.values()) v.push_back(static_cast<std::int64_t>(x));
  return v;
}

}  // namespace

TEST_CASE("keys split as JAX's", "[random]") {
  CHECK(random::key_of(42) == random::Key{0, 42});
  CHECK(random::key_of(0x100000002u) == random::Key{1, 2});
  const auto keys = random::split(random::key_of(42));
  REQUIRE(keys.size() == 2);
  CHECK(keys[0] == random::Key{1832780943u, 270669613u});
  CHECK(keys[1] == random::Key{64467757u, 2916123636u});
  CHECK(random::split(key7, 0).empty());
  CHECK(random::split(key7, 5)[1] == random::split(key7)[1]);
  CHECK_THROWS_WITH(random::split(key7, -1), Contains("[random.split] count: got -1"));
}

TEST_CASE("bits, integers and permutations equal JAX's", "[random]") {
  std::vector<std::uint32_t> bits(6);
  random::bits(key7, 0, 6, bits.data());
  CHECK(bits ==
        std::vector<std::uint32_t>{2895194379u, 4185947648u, 1300703658u, 1906787632u, 3139134342u, 2709822315u});
  std::vector<std::uint32_t> later(2);
  random::bits(key7, 3, 2, later.data());
  CHECK(later == std::vector<std::uint32_t>{bits[3], bits[4]});

  using V = std::vector<std::int64_t>;
  CHECK(whole(random::randint(key7, {12}, -3, 10)) == V{7, 9, 1, -2, 7, 0, 4, 8, 2, 7, 4, 2});
  CHECK(whole(random::randint(key7, {2, 3}, 0, 100000)) == V{76959, 998, 60380, 41453, 59358, 91750});
  CHECK(whole(random::randint(key7, {6}, -2000000000, 2000000000)) ==
        V{899676959, 1548400998, -307839620, -177558547, -1099940642, 247291750});

  CHECK(random::permutation(key7, 12) == V{10, 9, 4, 2, 3, 11, 5, 0, 7, 6, 1, 8});
  const V large = random::permutation(key7, 5000);
  CHECK(V(large.begin(), large.begin() + 6) == V{801, 2388, 2559, 1874, 528, 2226});
  std::int64_t checksum = 0;
  for (std::size_t i = 0; i < large.size(); ++i) checksum += large[i] * static_cast<std::int64_t>(i);
  CHECK(checksum == 31159267606);
  CHECK(random::permutation(key7, 0).empty());
  CHECK(random::permutation(key7, 1) == V{0});
}

TEST_CASE("floats equal JAX's and brainstate's", "[random]") {
  const auto close = [](const Tensor& t, const std::vector<double>& want, double tolerance) {
    REQUIRE(t.numel() == static_cast<std::int64_t>(want.size()));
    for (std::int64_t i = 0; i < t.numel(); ++i)
      CHECK(std::abs(t.value_at(i) - want[static_cast<std::size_t>(i)]) <= tolerance);
  };
  close(random::uniform(key7, {4}), {0.6740899085998535, 0.9746168851852417, 0.3028435707092285, 0.4439585208892822},
        0);
  close(random::normal(key7, {4}),
        {0x1.ce10960000000p-2, 0x1.f4155c0000000p+0, -0x1.08508a0000000p-1, -0x1.20a54e0000000p-3}, 3e-7);
  const random::Key second = random::split(key7)[1];
  close(random::truncated_normal(second, {5}, -1, 3),
        {0.6000514030456543, 1.04781973361969, -0.02606671303510666, 0.03781387209892273, -0.42701083421707153}, 3e-7);
}

TEST_CASE("initial weights equal brainstate's for the same seed", "[random][golden]") {
  const auto file = golden::read(golden::path_of("initializers.json"));
  int compared = 0;
  for (const auto& record : file.at("cases")) {
    if (!record.contains("initializer")) continue;
    const std::string name = record.at("initializer");
    random::Generator generator(record.at("seed").get<std::uint64_t>());
    for (const auto& draw : record.at("draws")) {
      const Tensor want = golden::tensor(draw, f32);
      const Shape& s = want.shape();
      const random::Key key = generator.next();
      // Glorot's fans of a kernel (..., in, out).
      const double field = static_cast<double>(s.numel()) / static_cast<double>(s.at(-1) * s.at(-2));
      const double fan = field * static_cast<double>(s.at(-1) + s.at(-2)) / 2;
      const float std_dev = std::sqrt(static_cast<float>(1 / fan));
      Tensor got;
      if (name == "Normal(0,0.5)")
        got = random::normal(key, s, 0, 0.5);
      else if (name == "Uniform(-1,2)")
        got = random::uniform(key, s, -1, 2);
      else if (name == "TruncatedNormal(0,1)")
        got = random::truncated_normal(key, s, -2, 2);
      else if (name == "XavierNormal")
        got = random::truncated_normal(key, s, -2, 2);
      else
        continue;
      const float by = name == "XavierNormal" ? std_dev / 0.87962566103423978f : 1.0f;
      for (std::int64_t i = 0; i < want.numel(); ++i) got.data<float>()[i] *= by;
      INFO(name << ", seed " << record.at("seed"));
      CHECK(golden::error(got, want) < 5e-7);
      ++compared;
    }
  }
  CHECK(compared >= 8);
}

TEST_CASE("draws do not depend on threads, and a double is the float widened", "[random]") {
  const Shape shape{3, 33333};
  const auto all = [&](DType dtype) {
    return std::vector<Tensor>{random::uniform(key7, shape, -2, 5, dtype), random::normal(key7, shape, 1, 2, dtype),
                               random::truncated_normal(key7, shape, -2, 1, dtype)};
  };
  const auto wanted = [&] {
    const vg::test::ThreadsGuard one(1);
    return all(f32);
  }();
  for (int n : {2, 3, 8}) {
    const vg::test::ThreadsGuard scope(n);
    const auto got = all(f32), wide = all(f64);
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(vg::test::same_bits(got[i], wanted[i]));
      CHECK(wide[i].to(f32).values() == got[i].values());
    }
  }
}

TEST_CASE("draws have the range and moments that they promise", "[random]") {
  const std::int64_t n = 400000;
  const auto moments = [](const Tensor& t) {
    double sum = 0, squares = 0;
    for (double v : t.values()) sum += v, squares += v * v;
    const double m = sum / static_cast<double>(t.numel());
    return std::pair{m, squares / static_cast<double>(t.numel()) - m * m};
  };
  const auto within = [](const Tensor& t, double low, double high) {
    const auto v = t.values();
    const auto [least, most] = std::minmax_element(v.begin(), v.end());
    return *least >= low && *most <= high;
  };
  const auto u = moments(random::uniform(key7, {n}));
  CHECK(u.first == Approx(0.5).margin(2e-3));
  CHECK(u.second == Approx(1.0 / 12).margin(1e-3));
  CHECK(within(random::uniform(key7, {n}, -3, -2), -3, -2));
  const auto g = moments(random::normal(key7, {n}, 3, 2));
  CHECK(g.first == Approx(3).margin(0.02));
  CHECK(g.second == Approx(4).margin(0.04));
  CHECK(within(random::normal(key7, {n}), -6, 6));
  const auto t = moments(random::truncated_normal(key7, {n}, -2, 2));
  CHECK(t.first == Approx(0).margin(5e-3));
  CHECK(std::sqrt(t.second) == Approx(0.87962566103423978).margin(3e-3));
  CHECK(within(random::truncated_normal(key7, {n}, -0.5, 0.25), -0.5, 0.25));
  CHECK(within(random::randint(key7, {n}, -2, 3), -2, 2));
  std::vector<std::int64_t> order = random::permutation(key7, 1000);
  CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (std::int64_t i = 0; i < 1000; ++i) REQUIRE(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("normal draws follow erfinv into the tails", "[random]") {
  // Each element is sqrt2 * erfinv(u), so erf of it, in double, must give u.
  const std::int64_t n = 300000;
  const float low = std::nextafter(-1.0f, 0.0f);
  const Tensor u = random::uniform(key7, {n}, low, 1), x = random::normal(key7, {n});
  double worst = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double v = x.value_at(i) / std::sqrt(2.0), slope = 2 / std::sqrt(std::acos(-1.0)) * std::exp(-v * v);
    worst = std::max(worst, std::abs(std::erf(v) - u.value_at(i)) / slope / std::max(0.1, std::abs(v)));
    if (std::abs(u.value_at(i)) > 0.9999) continue;
    REQUIRE(std::abs(std::erf(v) - u.value_at(i)) < 2e-7);
  }
  CHECK(worst < 0.05);  // just below 1, x * x in float32 is coarse, as in XLA
}

TEST_CASE("the default generator is a stream that seed() restarts and a scope replaces", "[random]") {
  const random::Key before = random::default_generator().key();
  random::seed(42);
  CHECK(random::default_generator().next() == random::Key{64467757u, 2916123636u});
  CHECK(random::default_generator().key() == random::Key{1832780943u, 270669613u});
  random::Generator own(5);
  {
    random::GeneratorGuard scope(own);
    CHECK(&random::default_generator() == &own);
    random::seed(42);
    CHECK(own.key() == random::Key{0, 42});
  }
  CHECK(random::default_generator().key() == random::Key{1832780943u, 270669613u});
  random::default_generator().set_key(before);
}

TEST_CASE("bad arguments of the draws", "[random]") {
  CHECK_THROWS_WITH(random::uniform(key7, {2}, 1, 0), Contains("[random.uniform] low, high: got 1, 0"));
  CHECK_THROWS_AS(random::uniform(key7, {2}, 0, NAN), ValueError);
  CHECK_THROWS_WITH(random::uniform(key7, {2}, 0, 1, i32), Contains("[random.uniform] dtype: got i32"));
  CHECK_THROWS_AS(random::normal(key7, {2}, 0, INFINITY), ValueError);
  CHECK_THROWS_WITH(random::truncated_normal(key7, {2}, 1, 1), Contains("must be lower < upper"));
  CHECK_THROWS_WITH(random::randint(key7, {2}, 3, 3), Contains("[random.randint] low, high: got 3, 3"));
  CHECK_THROWS_AS(random::randint(key7, {2}, 0, std::int64_t{1} << 40), ValueError);
  CHECK_THROWS_AS(random::permutation(key7, -1), ValueError);
}
