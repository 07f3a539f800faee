// Shape, Tensor, the memory pool and the threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <thread>

#include <catch2/catch.hpp>
#include <xtensor/xmath.hpp>

#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/array.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

using namespace vg;
using Catch::Contains;

namespace {
using List = std::vector<double>;
std::size_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }
}  // namespace

TEST_CASE("a shape has its extents", "[tensor]") {
  const Shape s{2, 3, 4};
  CHECK(s.rank() == 3);
  CHECK(s.numel() == 24);
  CHECK(s.at(-1) == 4);
  CHECK(s.back() == 4);
  CHECK(s.str() == "(2, 3, 4)");
  CHECK(Shape{5}.str() == "(5,)");
  CHECK(Shape{}.str() == "()");
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{1, 2} != Shape{2, 1});
  CHECK(Shape{1} != Shape{1, 1});
  CHECK_THROWS_AS(s.at(3), ValueError);
  CHECK_THROWS_AS(s.at(-4), ValueError);
  CHECK_THROWS_WITH((Shape{2, -1}), Contains("axis 1") && Contains("-1"));
  CHECK_THROWS_AS(Shape(std::vector<std::int64_t>(9, 1)), ValueError);
}

TEST_CASE("a shape's size is checked, not wrapped", "[tensor]") {
  const std::int64_t huge = std::int64_t{1} << 40;
  CHECK_THROWS_AS((Shape{huge, huge}.numel()), ValueError);
  CHECK((Shape{huge, huge, 0}.numel()) == 0);
  CHECK_THROWS_AS(Tensor({std::numeric_limits<std::int64_t>::max() / 2, 1}), ValueError);
  CHECK_THROWS_AS(Tensor({std::int64_t{1} << 59}), std::bad_alloc);
}

TEST_CASE("broadcasting two shapes", "[tensor]") {
  CHECK(broadcast_shapes("t", {2, 1, 4}, {3, 1}) == Shape{2, 3, 4});
  CHECK(broadcast_shapes("t", {}, {3}) == Shape{3});
  CHECK(broadcast_shapes("t", {0}, {1}) == Shape{0});
  CHECK_THROWS_WITH(broadcast_shapes("t", {2, 3}, {2}), Contains("[t] shapes (2, 3) and (2,)"));
  CHECK_THROWS_AS(broadcast_shapes("t", {0}, {2}), ValueError);
  CHECK(normalize_axis("t", -2, 3) == 1);
  CHECK_THROWS_WITH(normalize_axis("t", 3, 3), Contains("[t] axis: got 3; must be in [-3, 3)"));
}

TEST_CASE("dtypes have names", "[tensor]") {
  for (DType d : {f32, f64, i32}) CHECK(dtype_from_name(name_of(d)) == d);
  CHECK_THROWS_WITH(dtype_from_name("f16"), Contains("f16") && Contains("f32, f64, i32"));
}

TEST_CASE("tensors are made, read and converted", "[tensor]") {
  CHECK(Tensor::zeros({2}).values() == List{0, 0});
  CHECK(Tensor::ones({2}, i32).values() == List{1, 1});
  CHECK(Tensor::full({2}, 0.5, f64).values() == List{0.5, 0.5});
  CHECK(Tensor::arange(3, i32).values() == List{0, 1, 2});
  CHECK(Tensor::arange(0).numel() == 0);
  CHECK(Tensor::scalar(4).item() == 4);
  const Tensor t = Tensor::of<float>({2, 2}, {1.5f, -2.5f, 3, 4});
  CHECK(t.bytes() == 16);
  CHECK(t.dim(-1) == 2);
  CHECK(t.value_at(1) == -2.5);
  CHECK(t.to(i32).values() == List{1, -2, 3, 4});
  CHECK(t.to(f64).dtype() == f64);
  CHECK(t.to(f32).raw() == t.raw());
  CHECK(t.str() == "Tensor f32 (2, 2) [1.5, -2.5, 3, 4]");
  CHECK(Tensor::arange(9).str() == "Tensor f32 (9,) [0, 1, 2, 3, 4, 5, 6, 7, ...]");
  CHECK_THROWS_AS(Tensor::of<float>({3}, {1, 2}), ValueError);
  CHECK_THROWS_AS(t.data<double>(), TypeError);
  CHECK_THROWS_AS(t.item(), ValueError);
  CHECK_THROWS_AS(t.value_at(4), ValueError);
  CHECK_THROWS_AS(t.value_at(-1), ValueError);
}

TEST_CASE("large fills and conversions reach every element", "[tensor]") {
  const std::int64_t n = 200001;
  const Tensor t = Tensor::arange(n, i32).to(f64);
  const Tensor copy = t.clone();
  bool right = true;
  for (std::int64_t i = 0; i < n; ++i) right = right && copy.data<double>()[i] == static_cast<double>(i);
  CHECK(right);
  CHECK(copy.raw() != t.raw());
}

TEST_CASE("an undefined tensor says so", "[tensor]") {
  Tensor t;
  CHECK_FALSE(t.defined());
  CHECK_THROWS_AS(t.data<float>(), ValueError);
  CHECK_THROWS_AS(t.item(), ValueError);
  CHECK_FALSE(t.clone().defined());
  CHECK(t.raw() == nullptr);
  CHECK_FALSE(t.unique());
  CHECK(t.str() == "Tensor()");
}

TEST_CASE("copies share memory until they are made unique", "[tensor]") {
  Tensor a = Tensor::zeros({4});
  CHECK(a.unique());
  Tensor b = a.reshape({2, 2});
  CHECK(b.raw() == a.raw());
  CHECK_FALSE(a.unique());
  b.make_unique();
  CHECK(b.raw() != a.raw());
  CHECK(a.unique());
  b.data<float>()[0] = 1;
  CHECK(a.values() == List{0, 0, 0, 0});
  CHECK(a.reshape({-1, 2}).shape() == Shape{2, 2});
  CHECK(Tensor::zeros({0, 3}).reshape({3, -1}).shape() == Shape{3, 0});
  CHECK_THROWS_AS(a.reshape({3}), ValueError);
  CHECK_THROWS_AS(a.reshape({-1, 0}), ValueError);
  CHECK_THROWS_AS(a.reshape({-1, -1}), ValueError);
}

TEST_CASE("xtensor reads and writes a tensor's memory", "[tensor]") {
  Tensor t = Tensor::of<double>({2, 3}, {1, 2, 3, 4, 5, 6});
  auto a = t.array<double>();
  CHECK(a(1, 0) == 4);
  a(1, 0) = 40;
  CHECK(t.value_at(3) == 40);
  CHECK(Tensor::from(a * 2.0).values() == List{2, 4, 6, 80, 10, 12});
  CHECK(Tensor::from(xt::transpose(a)).values() == List{1, 40, 2, 5, 3, 6});
  CHECK(Tensor::from(xt::sum(a)).shape() == Shape{});
  CHECK(Tensor::scalar(2, f64).array<double>()() == 2);
  CHECK_THROWS_AS(t.array<float>(), TypeError);
}

TEST_CASE("the pool aligns, reuses and counts", "[memory]") {
  memory::release_cached();
  const memory::Stats start = memory::stats();
  CHECK(start.cached == 0);
  const void* first = nullptr;
  {
    const Tensor t({1000}, f64);
    first = t.raw();
    CHECK(address(first) % 64 == 0);
    CHECK(memory::stats().from_system == start.from_system + 1);
    CHECK(memory::stats().in_use >= start.in_use + 8000);
    CHECK(memory::stats().in_use <= start.in_use + 9000);  // at most an eighth is lost
  }
  CHECK(memory::stats().in_use == start.in_use);
  CHECK(memory::stats().cached >= 8000);
  {
    const Tensor a({990}, f64);  // a little smaller, so it gets the same block
    CHECK(a.raw() == first);
    CHECK(memory::stats().reused == start.reused + 1);
    CHECK(memory::stats().from_system == start.from_system + 1);
    CHECK(memory::stats().cached == 0);
  }
  memory::reset_peak();
  {
    const Tensor a({1 << 20}), b({1 << 20});
    CHECK(address(a.raw()) % (2 << 20) == 0);  // large blocks can be huge pages
  }
  CHECK(memory::stats().peak - start.in_use == 2 * (4 << 20));
  memory::reset_peak();
  CHECK(memory::stats().peak == start.in_use);
  memory::release_cached();
  CHECK(memory::stats().cached == 0);
}

TEST_CASE("blocks of every size are distinct and writable", "[memory]") {
  std::vector<memory::Block> blocks;
  std::vector<std::size_t> sizes;
  for (std::size_t n : {0u, 1u, 63u, 64u, 65u, 127u, 129u, 1000u, 4097u, 65537u, 2097152u, 2097153u, 3000000u})
    for (int twice = 0; twice < 2; ++twice) {
      blocks.push_back(memory::allocate(n));
      sizes.push_back(n);
      std::fill_n(static_cast<unsigned char*>(blocks.back().get()), n, static_cast<unsigned char>(blocks.size()));
    }
  bool intact = true;
  for (std::size_t i = 0; i < blocks.size(); ++i)
    for (std::size_t j = 0; j < sizes[i]; ++j)
      intact = intact && static_cast<unsigned char*>(blocks[i].get())[j] == i + 1;
  CHECK(intact);
  CHECK_THROWS_AS(memory::allocate(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
}

TEST_CASE("threads may use the pool together", "[memory]") {
  const std::int64_t before = memory::stats().in_use;
  std::vector<std::thread> threads;
  std::atomic<bool> intact{true};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const Tensor x = Tensor::full({100 + i}, t, i32);
        for (std::int64_t k = 0; k < x.numel(); ++k)
          if (x.data<std::int32_t>()[k] != t) intact = false;
      }
    });
  for (auto& t : threads) t.join();
  CHECK(intact);
  CHECK(memory::stats().in_use == before);
}

TEST_CASE("parallel_for runs every task once", "[threads]") {
  const int before = num_threads();
  for (int n : {1, 2, 3, 8}) {
    const vg::test::ThreadsGuard scope(n);
    CHECK(num_threads() == n);
    std::vector<std::atomic<int>> runs(1000);
    parallel_for(1000, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
    CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& r) { return r == 1; }));
    std::atomic<std::int64_t> covered{0}, calls{0};
    parallel_ranges(1001, 100, [&](std::int64_t b, std::int64_t e) {
      covered += e - b;
      ++calls;
    });
    CHECK(covered == 1001);
    CHECK(calls == 11);
    parallel_ranges(0, 100, [&](std::int64_t, std::int64_t) { ++calls; });
    CHECK(calls == 11);
  }
  CHECK_THROWS_AS(set_num_threads(0), ValueError);
  CHECK_THROWS_AS(set_num_threads(1025), ValueError);
  CHECK(num_threads() == before);
}

namespace {

/// Whether the condition becomes true within ten seconds.
template <class Condition>
bool wait_for(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition())
    if (std::chrono::steady_clock::now() > end) return false;
  return true;
}

}  // namespace

TEST_CASE("parallel_for gives a thread the same tasks each time", "[threads]") {
  const vg::test::ThreadsGuard scope(2);
  std::array<std::thread::id, 2> ids;
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> begun{0};
    std::atomic<bool> both{true};
    std::array<std::thread::id, 2> now;
    parallel_for(2, [&](std::int64_t i) {
      now[static_cast<std::size_t>(i)] = std::this_thread::get_id();
      ++begun;
      if (!wait_for([&] { return begun == 2; })) both = false;  // so that one thread cannot run both tasks
    });
    REQUIRE(both);
    if (round == 0) ids = now;
    CHECK(now[0] == std::this_thread::get_id());
    CHECK(now[1] == ids[1]);
  }
}

TEST_CASE("a thread gets its own workspace back", "[threads][memory]") {
  const vg::test::ThreadsGuard scope(2);
  std::array<const double*, 2> first{};
  for (int round = 0; round < 6; ++round) {
    std::atomic<int> taken{0}, given{0};
    std::atomic<bool> met{true};
    std::array<const double*, 2> now{};
    parallel_for(2, [&](std::int64_t i) {
      const auto me = static_cast<std::size_t>(i);
      // the threads allocate and free in turn, in a different order each time
      const auto wait = [&](const std::atomic<int>& count, int turn) {
        if (!wait_for([&] { return count == turn; })) met = false;
      };
      wait(taken, (round + static_cast<int>(i)) % 2);
      auto own = std::make_unique<memory::Scratch<double>>(12345);
      now[me] = own->data();
      ++taken;
      wait(taken, 2);
      wait(given, round / 2 % 2 == i ? 0 : 1);
      own.reset();
      ++given;
      wait(given, 2);
    });
    REQUIRE(met);
    if (round == 0) first = now;
    CHECK(now == first);
  }
}

TEST_CASE("parallel_for runs the tasks of a thread that is late on other threads", "[threads]") {
  const vg::test::ThreadsGuard scope(2);
  std::atomic<int> done{0};
  std::atomic<bool> all{true};
  parallel_for(100, [&](std::int64_t i) {
    if (i == 0 && !wait_for([&] { return done == 99; })) all = false;
    ++done;
  });
  CHECK(all);
}

TEST_CASE("an exception of a task arrives at the caller", "[threads]") {
  for (int n : {1, 4}) {
    const vg::test::ThreadsGuard scope(n);
    CHECK_THROWS_WITH(parallel_for(100,
                                   [](std::int64_t i) {
                                     if (i == 42) throw ValueError("[task] 42");
                                   }),
                      "[task] 42");
  }
}

TEST_CASE("a nested parallel_for runs in its own thread", "[threads]") {
  const vg::test::ThreadsGuard scope(4);
  std::atomic<int> same_thread{0};
  parallel_for(8, [&](std::int64_t) {
    const auto id = std::this_thread::get_id();
    parallel_for(8, [&](std::int64_t) { same_thread += std::this_thread::get_id() == id; });
  });
  CHECK(same_thread == 64);
}

TEST_CASE("one handler catches every exception of voxgrad", "[tensor]") {
  const auto caught = [](const auto& f) {
    try {
      f();
    } catch (const vg::Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(caught([] { Tensor::zeros({-1}); }) == "[Shape] extent of axis 0: got -1; must be at least 0");
  CHECK(!caught([] { Tensor::ones({2}).data<double>(); }).empty());  // TypeError
  CHECK(caught([] { throw IoError("a file"); }) == "a file");
  CHECK(!caught([] { Tensor({std::int64_t{1} << 46}); }).empty());  // MemoryError
}
