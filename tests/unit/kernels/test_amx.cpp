// Compares the machine code of kernels_amx.cpp with the same microkernel on plain C++ tiles. An emulator runs it if the
// CPU has no AMX.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "support/kernels/amx_emulator.hpp"
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/dispatch/bf16_set.hpp"

#if defined(__x86_64__) && defined(__linux__)

using std::int64_t;
using vg::kernels::Bf16Pair;

namespace {

// Pairs of small integers, so that sums are exact in any order.
std::vector<Bf16Pair> pairs(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto number = [&] { return vg::kernels::to_bf16(static_cast<float>(static_cast<int>(random() % 9) - 4)); };
  std::vector<Bf16Pair> v(n);
  for (Bf16Pair& p : v) p = Bf16Pair(static_cast<std::uint32_t>(number()) << 16 | number());
  return v;
}

/// A convolution of rows of `depth` outputs with 2 x 3 taps, computed by a tile kernel.
std::vector<float> convolve(vg::kernels::IgemmKernel<Bf16Pair> kernel, int64_t rows, int64_t depth, int64_t stride,
                            int64_t ci, int64_t co) {
  const int64_t in_depth = (depth - 1) * stride + 3, blocks = (co + 15) / 16 * 16, taps = 6;
  const auto x = pairs(static_cast<std::size_t>((rows + 1) * in_depth * ci), 1),
             w = pairs(static_cast<std::size_t>(taps * ci * blocks), 2);
  std::vector<float> y(static_cast<std::size_t>(rows * depth * co), -1.0F);
  const vg::kernels::TapRun runs[2] = {{0, 3 * ci, 0}, {in_depth * ci, 3 * ci, 3 * ci}};
  std::vector<int64_t> x_indirection, y_indirection;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t d = 0; d < depth; ++d) {
      x_indirection.push_back((r * in_depth + d * stride) * ci);
      y_indirection.push_back((r * depth + d) * co);
    }
  kernel({x.data(), w.data(), y.data(), runs, 2, x_indirection.data(), y_indirection.data(), rows * depth, taps * ci, 0,
          0, co, ci, co, false});
  return y;
}

}  // namespace

TEST_CASE("AMX: its instructions compute the same as plain tiles", "[bf16][kernels]") {
  const auto amx = vg::kernels::amx_igemm_tiles, plain = vg::kernels::portable_bf16_kernels->igemm_tiles;
  if (amx == nullptr) return;        // not compiled in
  vg::available_bf16_kernel_sets();  // if the CPU has AMX, this call requests the permission to use it
  const vg::test::AmxEmulator emulator;
  for (const int64_t depth : {1, 2, 15, 16, 17, 33, 70})
    for (const int64_t stride : {1, 2})
      for (const int64_t ci : {4, 16, 36, 48})
        for (const int64_t co : {1, 16, 17, 32, 40, 64}) {
          INFO("depth " << depth << " stride " << stride << " pairs " << ci << " outputs " << co);
          const bool same = convolve(amx, 2, depth, stride, ci, co) == convolve(plain, 2, depth, stride, ci, co);
          CHECK(same);
        }
}

#endif
