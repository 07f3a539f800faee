// Makes pairs of the operands (bf16_pairs.hpp) and runs the direct algorithm over them; where there are none, rounds
// the operands and runs f32's kernels: no pairs in the set, lanes over groups, an empty size, an axis whose stride or
// dilation is beyond the volume, or an infinity or NaN that a pair's zero half would meet.
#include "framework/kernels/bf16.hpp"

#include <bit>

#include "framework/kernels/bf16_pairs.hpp"
#include "framework/kernels/bf16_set.hpp"
#include "framework/kernels/conv3d.hpp"
#include "framework/kernels/direct.hpp"
#include "framework/kernels/driver.hpp"
#include "framework/kernels/packing.hpp"
#include "framework/threads.hpp"

namespace vg::kernels {

using std::int64_t;

namespace {

/// The float of the bf16 nearest to x, in its bits.
inline std::uint32_t rounded_bits(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t even = u + 0x7fffU + (u >> 16 & 1U);
  const bool nan = (u & 0x7fffffffU) > 0x7f800000U;
  return (nan ? u | 0x00400000U : even) & 0xffff0000U;
}

/// n floats rounded to bf16.
class Rounded {
 public:
  Rounded(const float* x, int64_t n) : memory_(n) {
    float* const y = memory_.data();
    parallel_ranges(n, 65'536, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = std::bit_cast<float>(rounded_bits(x[i]));
    });
  }
  const float* data() { return memory_.data(); }

 private:
  memory::Scratch<float> memory_;
};

int64_t x_elements(const Conv3dProblem& p) { return p.batch * in_volume(p); }
int64_t y_elements(const Conv3dProblem& p) { return p.batch * out_volume(p); }
int64_t w_elements(const Conv3dProblem& p) { return taps(p) * (p.in_channels / p.groups) * p.out_channels; }

/// The kernels for pairs, or null where they do not apply.
const Bf16Kernels* kernels_for(const Conv3dProblem& p) {
  const Bf16Kernels* const k = current_bf16_kernels();
  if (k == nullptr || x_elements(p) == 0 || y_elements(p) == 0 || direct::lanes_over_groups(p, k->lanes))
    return nullptr;
  return k;
}

// ---- forward and grad_input ----------------------------------------------------------------------------------------

/// Tiles take their channels in equal steps of at most 16 pairs, and hardly pay for a few.
constexpr int64_t tile_lanes = 16, tile_pairs = 16, least_pairs_for_tiles = 4;

/// Pairs of channels of a group, filled up for tiles.
int64_t pairs_of(int64_t channels, bool tiles) {
  const int64_t pairs = ceil_div(channels, 2);
  if (!tiles) return pairs;
  const int64_t steps = ceil_div(pairs, tile_pairs);
  return ceil_div(pairs, steps) * steps;
}

/// The gather over p (direct::gather's) by pairs; false, with nothing done, where it has to be emulated.
bool gather_pairs(const Conv3dProblem& p, bool transpose, const float* x, const float* w, float* y) {
  const Bf16Kernels* const k = kernels_for(p);
  if (k == nullptr) return false;
  const int axis = gather_pairing(p);
  const int64_t ci = p.in_channels / p.groups;
  const bool few = direct::is_few(gather_over_pairs(p, axis, ceil_div(ci, 2)), k->lanes, 4);
  const bool tiles =
      k->gather_tiles != nullptr && !few && axis == channel_pairs && ceil_div(ci, 2) >= least_pairs_for_tiles;
  const int64_t pairs = pairs_of(ci, tiles), lanes = tiles ? tile_lanes : k->lanes;
  const Conv3dProblem q = gather_over_pairs(p, axis, pairs);

  memory::Scratch<Bf16Pair> packed(q.groups * packed_size(q, few, lanes));
  {
    memory::Scratch<Bf16Pair> wp(taps(q) * (q.in_channels / q.groups) * q.out_channels);
    if (!pair_weights(*k, p, axis, pairs, transpose, w, wp.data())) return false;
    pack(q, weights_of<Bf16Pair>(q, wp.data(), transpose), few, lanes, packed.data());
  }
  memory::Scratch<Bf16Pair> xp(x_elements(q));
  if (axis == channel_pairs)
    pair_channels(*k, p, pairs, x, xp.data());
  else if (!pair_inputs(*k, p, axis, p.rhs_dilation[axis], x, xp.data()))
    return false;
  const auto kernel = few ? k->gather_few : tiles ? k->gather_tiles : k->gather_dense;
  direct::gather_packed<Bf16Pair>(q, kernel, lanes, xp.data(), packed.data(), packed_size(q, few, lanes), y);
  return true;
}

// ---- grad_weight ---------------------------------------------------------------------------------------------------

bool grad_weight_pairs(const Conv3dProblem& p, const float* x, const float* dy, float* dw) {
  const Bf16Kernels* const k = kernels_for(p);
  if (k == nullptr) return false;
  const int axis = weight_pairing(p);
  if (axis == channel_pairs) return false;
  const Conv3dProblem q = weight_over_pairs(p, axis);
  memory::Scratch<Bf16Pair> xp(x_elements(q)), dyp(y_elements(q));
  if (!pair_inputs(*k, p, axis, p.stride[axis], x, xp.data())) return false;
  if (!pair_outputs(*k, p, axis, dy, dyp.data())) return false;
  const auto kernel = direct::is_few(q, k->lanes, 0) ? k->weight_few : k->weight_dense;
  direct::grad_weight_by<Bf16Pair>(q, kernel, k->lanes, false, xp.data(), dyp.data(), dw);
  return true;
}

}  // namespace

std::uint16_t to_bf16(float x) { return static_cast<std::uint16_t>(rounded_bits(x) >> 16); }
float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

void conv3d_forward_bf16(const Conv3dProblem& p, const float* x, const float* w, float* y) {
  if (gather_pairs(collapsed(p), false, x, w, y)) return;
  conv3d_forward<float>(p, Rounded(x, x_elements(p)).data(), Rounded(w, w_elements(p)).data(), y);
}

void conv3d_grad_input_bf16(const Conv3dProblem& p, const float* dy, const float* w, float* dx) {
  if (gather_pairs(transposed(collapsed(p)), true, dy, w, dx)) return;
  conv3d_grad_input<float>(p, Rounded(dy, y_elements(p)).data(), Rounded(w, w_elements(p)).data(), dx);
}

void conv3d_grad_weight_bf16(const Conv3dProblem& p, const float* x, const float* dy, float* dw) {
  if (grad_weight_pairs(collapsed(p), x, dy, dw)) return;
  conv3d_grad_weight<float>(p, Rounded(x, x_elements(p)).data(), Rounded(dy, y_elements(p)).data(), dw);
}

}  // namespace vg::kernels
