// The one pass over all leaves: each leaf gets the same result as in a step of that leaf alone, for any number of
// threads, and the pass allocates nothing.
#include <catch2/catch.hpp>

#include "support/optim_toys.hpp"
#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/optim/fused_step.hpp"
#include "voxgrad/optim/optim.hpp"

using vg::Tensor;
using vg::test::optimizer_kinds;
using vg::test::param;
using vg::test::same_bits;
using vg::test::ThreadsGuard;
using vg::test::Toy;

namespace {

// Small, odd and large leaves in mixed order; one is longer than two pieces.
struct Leaves {
  std::vector<vg::ParamState> all;
  vg::States states;

  explicit Leaves(vg::DType dtype) {
    constexpr std::int64_t piece = vg::detail::update_grain;
    for (const std::int64_t n : {7L, 5L, 2 * piece + 3, 1L, 0L, piece, 300L, 16383L, 3L})
      add(Toy::numbers({n}, static_cast<int>(all.size()), dtype));
  }
  Leaves(const Leaves& other) {
    for (const vg::ParamState& leaf : other.all) add(leaf["weight"].value().clone());
  }
  void add(const Tensor& value) {
    all.push_back(param("weight", value));
    states.insert(path(all.size() - 1), all.back());
  }
  static std::string path(std::size_t k) { return k == 1 ? "head" : "leaf" + std::to_string(k); }
  const Tensor& value(std::size_t k) const { return all[k]["weight"].value(); }

  // The gradients are so small that the clipping limits of optimizer_kinds() have no effect, for one leaf or for all.
  vg::StateGrads grads(int step) const {
    vg::StateGrads every;
    for (std::size_t k = 0; k < all.size(); ++k) {
      const Tensor g = Toy::numbers(value(k).shape(), 100 * step + static_cast<int>(k) + 50, value(k).dtype());
      every.entries.push_back({path(k), {{"weight", vg::Variable(g) * 0x1p-10}}});
    }
    return every;
  }
};

}  // namespace

TEST_CASE("optim: one pass over all leaves equals a step of each leaf alone, for any number of threads", "[optim]") {
  const vg::DType dtype = GENERATE(vg::f32, vg::f64);
  const Leaves before(dtype);
  std::vector<vg::StateGrads> grads;
  for (int t = 0; t < 3; ++t) grads.push_back(before.grads(t));
  for (const auto& [name, make] : optimizer_kinds()) {
    INFO(name);
    const Leaves alone(before);
    for (std::size_t k = 0; k < alone.all.size(); ++k) {
      const auto optimizer = make(alone.states);
      for (const vg::StateGrads& all : grads) {
        vg::StateGrads one;
        one.entries.push_back(all.entries[k]);
        optimizer->update(one);
      }
    }
    for (const int threads : {1, 2, 3}) {
      const ThreadsGuard scope(threads);
      const Leaves together(before);
      const auto optimizer = make(together.states);
      for (const vg::StateGrads& all : grads) optimizer->update(all);
      for (std::size_t k = 0; k < together.all.size(); ++k) {
        INFO("leaf " << k << ", " << threads << " threads");
        CHECK(same_bits(together.value(k), alone.value(k)));
      }
    }
    CHECK_FALSE(same_bits(alone.value(2), before.value(2)));
  }
}

TEST_CASE("optim: after the second step the pool asks the system for nothing", "[optim]") {
  const Leaves before(vg::f32);
  const vg::StateGrads grads = before.grads(0);
  for (const auto& [name, make] : optimizer_kinds()) {
    INFO(name);
    const Leaves leaves(before);
    const auto optimizer = make(leaves.states);
    vg::Ema average(leaves.states);
    std::int64_t asked = 0;
    for (int t = 0; t < 5; ++t) {
      if (t == 2) asked = vg::memory::stats().from_system;
      optimizer->update(grads);
      average.update();
    }
    CHECK(vg::memory::stats().from_system == asked);
  }
}

TEST_CASE("optim: a pass covers each element once and adds up each leaf's sums in order", "[optim]") {
  constexpr std::int64_t piece = vg::detail::update_grain;
  const std::vector<std::int64_t> sizes{3, 0, piece + 1, vg::detail::task_grain, 1, 3 * piece, 2};
  const ThreadsGuard scope(3);
  vg::detail::FusedStep pass;
  for (int round = 0; round < 2; ++round) {  // the second round reuses the memory
    pass.clear();
    std::vector<std::vector<int>> seen;
    for (const std::int64_t n : sizes) {
      pass.add(n);
      seen.emplace_back(static_cast<std::size_t>(n));
    }
    for (std::size_t k = 0; k < sizes.size(); ++k)
      pass[k] = [to = seen[k].data()](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++to[i];
        return vg::LeafSums{static_cast<double>(end - begin), static_cast<double>(begin % piece)};
      };
    pass.run();
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      CHECK(seen[k] == std::vector<int>(seen[k].size(), 1));
      CHECK(pass.sums(k) == vg::LeafSums{static_cast<double>(sizes[k]), 0});
    }
  }
}
