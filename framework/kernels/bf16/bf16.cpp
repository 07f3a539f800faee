// Makes pairs of the operands (pairs.hpp) and runs the direct algorithm on them. In these cases it rounds the operands
// and runs the f32 kernels instead: the set has no pairs, lanes run over groups, a size is 0, Winograd is faster, the
// stride or dilation of an axis exceeds the volume, or an infinity or NaN would be multiplied with the zero half of a
// pair.
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"

#include <algorithm>
#include <bit>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/bf16/pairs.hpp"
#include "voxgrad/framework/kernels/bf16/row_chunks.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/pack.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/cost_model.hpp"
#include "voxgrad/framework/kernels/direct/direct.hpp"
#include "voxgrad/framework/kernels/dispatch/bf16_set.hpp"

namespace vg::kernels {

using std::int64_t;

namespace {

/// The bits of x rounded to bf16, as a float.
inline std::uint32_t rounded_bits(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t even = u + 0x7fffU + (u >> 16 & 1U);
  const bool nan = (u & 0x7fffffffU) > 0x7f800000U;
  return (nan ? u | 0x00400000U : even) & 0xffff0000U;
}

/// A copy of n floats, rounded to bf16.
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

/// Whether the f32 Winograd kernels on rounded operands are faster. Pairs halve the products, and Winograd may save
/// more, though not more than tiles (AMX).
bool prefers_winograd(const Conv3dProblem& p, const Bf16Kernels& k, Pass pass) {
  constexpr double pairs = 1.9, rounding = 4;  // speed-up; vector multiply-adds per vector of an operand
  if (k.igemm_tiles != nullptr || !may_choose(p, pass)) return false;
  const Cost cost = cost_of(p, k.lanes, pass);
  const double vectors = static_cast<double>(x_elements(p) + w_elements(p)) / static_cast<double>(k.lanes);
  return cost.least_winograd() + rounding * vectors < cost.direct / pairs;
}

/// The kernels for pairs, or null if they do not apply.
const Bf16Kernels* kernels_for(const Conv3dProblem& p, Pass pass) {
  const Bf16Kernels* const k = current_bf16_kernels();
  if (k == nullptr || x_elements(p) == 0 || y_elements(p) == 0 || direct::lanes_over_groups(p, k->lanes) ||
      prefers_winograd(p, *k, pass))
    return nullptr;
  return k;
}

/// Whether p is a 1x1x1 convolution as collapsed() returns it. Its operands are used about once, so pairs are made for
/// one part at a time, which stays in L2.
bool is_row(const Conv3dProblem& p) {
  if (p.batch != 1 || taps(p) != 1) return false;
  for (int a = 0; a < 3; ++a)
    if (p.stride[a] != 1 || p.lhs_dilation[a] != 1 || p.pad[a] != 0 || p.in_size[a] != p.out_size[a]) return false;
  return p.in_size[0] == 1 && p.in_size[1] == 1;
}

constexpr int64_t row_part = 2048;  // positions per part; even

Conv3dProblem part_of_row(const Conv3dProblem& p, int64_t positions) {
  Conv3dProblem part = p;
  part.in_size[2] = part.out_size[2] = positions;
  return part;
}

// ---- forward and grad_input ----------------------------------------------------------------------------------------

/// Tiles process channels in equal steps of at most 16 pairs. For very few pairs they hardly pay.
constexpr int64_t tile_lanes = 16, tile_pairs = 16, least_pairs_for_tiles = 4;

/// The pairs of a group's channels. For tiles, they are padded to equal steps.
int64_t pairs_of(int64_t channels, bool tiles) {
  const int64_t pairs = ceil_div(channels, 2);
  if (!tiles) return pairs;
  const int64_t steps = ceil_div(pairs, tile_pairs);
  return ceil_div(pairs, steps) * steps;
}

/// How a data pass makes pairs, and the kernel that it runs.
struct PairDataPass {
  const Bf16Kernels* k;
  int axis;
  int64_t pairs, lanes;  ///< pairs per group; lanes of the packed weights
  bool few, tiles;

  Conv3dProblem over_pairs(const Conv3dProblem& p) const { return data_pass_over_pairs(p, axis, pairs); }
  IgemmKernel<Bf16Pair> kernel() const { return few ? k->igemm_narrow : tiles ? k->igemm_tiles : k->igemm; }
};

PairDataPass pair_data_pass(const Bf16Kernels* k, const Conv3dProblem& p) {
  PairDataPass g{k, data_pass_pairing(p), 0, 0, false, false};
  const int64_t ci = p.in_channels / p.groups, pairs = ceil_div(ci, 2);
  g.few = direct::igemm_is_narrow(data_pass_over_pairs(p, g.axis, pairs), k->lanes);
  g.tiles = k->igemm_tiles != nullptr && !g.few && g.axis == channel_pairs && pairs >= least_pairs_for_tiles;
  g.pairs = pairs_of(ci, g.tiles);
  g.lanes = g.tiles ? tile_lanes : k->lanes;
  return g;
}

/// The data pass over p with packed weights. Returns false and does nothing if it must be emulated.
bool data_pass_packed(const PairDataPass& g, const Conv3dProblem& p, const float* x, const Bf16Pair* packed, float* y) {
  const Conv3dProblem q = g.over_pairs(p);
  memory::Scratch<Bf16Pair> xp(x_elements(q));
  if (g.axis == channel_pairs)
    pair_channels(*g.k, p, g.pairs, x, xp.data());
  else if (!pair_inputs(*g.k, p, g.axis, p.rhs_dilation[g.axis], x, xp.data()))
    return false;
  direct::data_pass_packed<Bf16Pair>(q, g.kernel(), g.lanes, xp.data(), packed, packed_size(q, g.few, g.lanes), y);
  return true;
}

/// The data pass over p (as direct::data_pass) with pairs. Returns false if it must be emulated.
bool data_pass_pairs(const Conv3dProblem& p, bool transpose, const float* x, const float* w, float* y) {
  const Bf16Kernels* const k = kernels_for(p, transpose ? Pass::grad_input : Pass::forward);
  if (k == nullptr) return false;
  const PairDataPass g = pair_data_pass(k, p);
  const Conv3dProblem q = g.over_pairs(p);
  memory::Scratch<Bf16Pair> packed(q.groups * packed_size(q, g.few, g.lanes));
  {
    memory::Scratch<Bf16Pair> wp(taps(q) * (q.in_channels / q.groups) * q.out_channels);
    if (!pair_weights(*k, p, g.axis, g.pairs, transpose, w, wp.data())) return false;
    pack(q, weights_of<Bf16Pair>(q, wp.data(), transpose), g.few, g.lanes, packed.data());
  }
  if (!is_row(p)) return data_pass_packed(g, p, x, packed.data(), y);
  parallel_ranges(p.out_size[2], row_part, [&](int64_t begin, int64_t end) {
    data_pass_packed(g, part_of_row(p, end - begin), x + begin * p.in_channels, packed.data(),
                     y + begin * p.out_channels);
  });
  return true;
}

// ---- grad_weight ---------------------------------------------------------------------------------------------------

WgradKernel<Bf16Pair> weight_kernel(const Bf16Kernels& k, const Conv3dProblem& q) {
  return direct::wgrad_is_narrow(q, k.lanes, k.weight_lanes) ? k.wgrad_narrow : k.wgrad;
}

/// grad_weight of a part of a row, where a pair of outputs uses just one pair of inputs.
void grad_weight_part(const Bf16Kernels& k, const Conv3dProblem& p, const float* x, const float* dy, float* dw) {
  const Conv3dProblem q = part_of_row(p, ceil_div(p.out_size[2], 2));
  memory::Scratch<Bf16Pair> xp(x_elements(q)), dyp(y_elements(q));
  pair_outputs(k, transposed(p), 2, x, xp.data());
  pair_outputs(k, p, 2, dy, dyp.data());
  direct::grad_weight_by<Bf16Pair>(q, weight_kernel(k, q), k.lanes, false, xp.data(), dyp.data(), dw);
}

/// grad_weight of a row. The parts are distributed, in order, among sums, whose number depends on the sizes only.
void grad_weight_row(const Bf16Kernels& k, const Conv3dProblem& p, const float* x, const float* dy, float* dw) {
  const int64_t n = p.out_size[2], parts = ceil_div(n, row_part), size = w_elements(p);
  const int64_t sums = std::clamp<int64_t>(cache::bf16_partial_sum_elements / size, 1, std::min<int64_t>(parts, 32));
  memory::Scratch<float> of_sums(2 * sums * size);
  parallel_for(sums, [&](int64_t s) {
    float* const sum = of_sums.data() + 2 * s * size;
    for (int64_t part = parts * s / sums, first = part; part < parts * (s + 1) / sums; ++part) {
      const int64_t begin = part * row_part, count = std::min(row_part, n - begin);
      float* const to = part == first ? sum : sum + size;
      grad_weight_part(k, part_of_row(p, count), x + begin * p.in_channels, dy + begin * p.out_channels, to);
      if (to != sum) current_table<float>().accumulate(size, to, sum);
    }
  });
  std::copy_n(of_sums.data(), size, dw);
  for (int64_t s = 1; s < sums; ++s) current_table<float>().accumulate(size, of_sums.data() + 2 * s * size, dw);
}

bool grad_weight_pairs(const Conv3dProblem& p, const float* x, const float* dy, float* dw) {
  const Bf16Kernels* const k = kernels_for(p, Pass::grad_weight);
  if (k == nullptr) return false;
  if (is_row(p)) return grad_weight_row(*k, p, x, dy, dw), true;
  const int axis = weight_pairing(p);
  if (axis == channel_pairs) return false;
  const Conv3dProblem q = weight_over_pairs(p, axis);
  memory::Scratch<Bf16Pair> xp(x_elements(q)), dyp(y_elements(q));
  if (!pair_inputs(*k, p, axis, p.stride[axis], x, xp.data())) return false;
  if (!pair_outputs(*k, p, axis, dy, dyp.data())) return false;
  direct::grad_weight_by<Bf16Pair>(q, weight_kernel(*k, q), k->lanes, false, xp.data(), dyp.data(), dw);
  return true;
}

}  // namespace

std::uint16_t to_bf16(float x) { return static_cast<std::uint16_t>(rounded_bits(x) >> 16); }
float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

namespace {

void data_pass(const Conv3dProblem& p, bool transpose, const float* x, const float* w, float* y) {
  for_each_row_chunk(p, cache::bf16_chunk_elements, [&](const RowChunk& s) {
    if (data_pass_pairs(collapsed(s.p), transpose, x + s.x, w, y + s.y)) return;
    Rounded xr(x + s.x, x_elements(s.p)), wr(w, w_elements(s.p));
    if (transpose)
      conv3d_grad_input<float>(transposed(s.p), xr.data(), wr.data(), y + s.y);
    else
      conv3d_forward<float>(s.p, xr.data(), wr.data(), y + s.y);
  });
}

}  // namespace

void conv3d_forward_bf16(const Conv3dProblem& p, const float* x, const float* w, float* y,
                         const Epilogue<float>& epilogue) {
  data_pass(p, false, x, w, y);
  epilogue.pass(outputs(p), p.out_channels, y);
}

void conv3d_grad_input_bf16(const Conv3dProblem& p, const float* dy, const float* w, float* dx) {
  data_pass(transposed(p), true, dy, w, dx);
}

void conv3d_grad_weight_bf16(const Conv3dProblem& p, const float* x, const float* dy, float* dw) {
  const bool whole = fits_chunk(p, cache::bf16_chunk_elements);
  memory::Scratch<float> of_chunk(whole ? 0 : w_elements(p));
  float* to = dw;  // the first chunk's; later ones are added
  for_each_row_chunk(p, cache::bf16_chunk_elements, [&](const RowChunk& s) {
    const float *const xs = x + s.x, *const dys = dy + s.y;
    if (!grad_weight_pairs(collapsed(s.p), xs, dys, to))
      conv3d_grad_weight<float>(s.p, Rounded(xs, x_elements(s.p)).data(), Rounded(dys, y_elements(s.p)).data(), to);
    if (to != dw) current_table<float>().accumulate(w_elements(p), to, dw);
    to = of_chunk.data();
  });
}

}  // namespace vg::kernels
