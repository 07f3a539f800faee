// Tensors that are larger than the memory: exceptions and their messages.
#include <exception>
#include <limits>
#include <new>
#include <string>

#include <catch2/catch.hpp>

#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/op_guard.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/conv3d.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

using namespace vg;
using Catch::Contains;
using Catch::StartsWith;

namespace {

// A number of floats that needs more than the address space (2^47 bytes).
constexpr std::int64_t too_many = std::int64_t{1} << 46;

Variable volume(std::int64_t channels = 1) { return Variable(Tensor::ones({1, 1, 1, 1, channels})); }

}  // namespace

TEST_CASE("the error of a too large tensor names its op, shape, bytes and the machine's memory", "[memory][errors]") {
  CHECK_THROWS_WITH(Tensor({too_many}),
                    StartsWith("out of memory: a tensor f32 (70368744177664,) needs 281474976710656 bytes (256.0 TiB); "
                               "the machine has ") &&
                        Contains("available"));
  CHECK_THROWS_WITH(broadcast_to(volume(), {too_many, 1, 1, 1, 1}),
                    StartsWith("[broadcast_to] out of memory: a tensor f32 (70368744177664, 1, 1, 1, 1) needs "));
  constexpr std::int64_t extent = std::int64_t{1} << 16;
  CHECK_THROWS_WITH(pad(volume(), {{0, 0}, {0, extent}, {0, extent}, {0, extent}, {0, 0}}),
                    StartsWith("[pad] out of memory: a tensor f32 (1, 65537, 65537, 65537, 1) needs "));
  CHECK_THROWS_WITH(
      conv3d(volume(), Variable(Tensor::ones({1, 1, 1, 1, 1})), {.padding = {{{0, extent}, {0, extent}, {0, extent}}}}),
      StartsWith("[conv3d] out of memory: a tensor f32 (1, 65537, 65537, 65537, 1) needs "));
  const std::int64_t rows = std::int64_t{1} << 23;
  CHECK_THROWS_WITH(matmul(Tensor::ones({rows, 1}), Tensor::ones({1, rows})),
                    StartsWith("[matmul] out of memory: a tensor f32 (8388608, 8388608) needs 281474976710656 bytes"));
  CHECK_THROWS_WITH(add(Variable(Tensor::ones({rows, 1})), Variable(Tensor::ones({1, rows}))),
                    StartsWith("[add] out of memory: a tensor f32 (8388608, 8388608) needs "));
}

TEST_CASE("a MemoryError is a std::bad_alloc and can be copied", "[memory][errors]") {
  CHECK_THROWS_AS(Tensor({too_many}), std::bad_alloc);
  CHECK_THROWS_AS(memory::allocate(std::numeric_limits<std::size_t>::max()), MemoryError);
  std::exception_ptr kept;
  try {
    Tensor t({too_many});
  } catch (const MemoryError& e) {
    const MemoryError copy = e;
    CHECK(std::string(copy.what()) == e.what());
    kept = std::make_exception_ptr(copy);
  }
  CHECK_THROWS_AS(std::rethrow_exception(kept), MemoryError);
  CHECK(std::string(MemoryError(std::string(2000, 'x')).what()) == std::string(511, 'x'));  // the message is truncated
}

TEST_CASE("the error of a workspace names its op, also from threads of its team", "[memory][errors][threads]") {
  const vg::test::ThreadsGuard scope(4);
  const auto workspaces = [] {
    const OpGuard op("some_op");
    parallel_for(4, [](std::int64_t) { memory::Scratch<double> much(too_many); });
  };
  CHECK_THROWS_WITH(workspaces(),
                    StartsWith("[some_op] out of memory: a thread's workspace needs 562949953421312 bytes"));
  CHECK(OpGuard::current().empty());
  CHECK_THROWS_WITH(memory::Scratch<double>(too_many), StartsWith("out of memory: a block of memory needs "));
}

TEST_CASE("an op that ran out of memory can be tried again", "[memory][errors]") {
  const Variable x = volume(2), w = Variable(Tensor::ones({1, 1, 1, 2, 3}), true);
  constexpr std::int64_t extent = std::int64_t{1} << 16;
  for (int i = 0; i < 3; ++i)
    CHECK_THROWS_AS(conv3d(x, w, {.padding = {{{0, extent}, {0, extent}, {0, extent}}}}), MemoryError);
  CHECK(conv3d(x, w).value().values() == std::vector<double>{2, 2, 2});
}
