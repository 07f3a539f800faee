// Compiled with -mamx-tile -mamx-bf16; without them the set does not exist. The instructions are inline assembly,
// because g++'s intrinsics accept a tile's number only as a literal, not as a template argument.
#include "voxgrad/framework/kernels/bf16/tiles-inl.hpp"

namespace vg::kernels {
namespace {

/// The operand of ldtilecfg.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

class AmxTiles {
 public:
  void configure(std::int64_t rows0, std::int64_t rows1, std::int64_t step) {
    // A chunk with one row of tiles does not use all tiles. These get one row, because a tile needs at least one.
    const std::int64_t rows[8] = {rows0, rows0, rows1, rows1, rows0, rows1, step, step};
    TileConfig c;
    for (int n = 0; n < 8; ++n) {
      c.rows[n] = static_cast<std::uint8_t>(rows[n] > 0 ? rows[n] : 1);
      c.row_bytes[n] = static_cast<std::uint16_t>(n == 4 || n == 5 ? step * 4 : 64);
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(c));
  }
  void release() { __asm__ volatile("tilerelease" ::: "memory"); }
  template <int N>
  void zero() {
    __asm__ volatile("tilezero %%tmm%c0" ::"i"(N));
  }
  template <int N>
  void load(const Bf16Pair* p, std::int64_t step) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(step), "i"(N) : "memory");
  }
  template <int C, int A, int B>
  void dot() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
  template <int C>
  void store(float* p, std::int64_t step) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(step), "i"(C) : "memory");
  }
};

}  // namespace
const IgemmKernel<Bf16Pair> amx_igemm_tiles = igemm_tiles<AmxTiles>;
}  // namespace vg::kernels
