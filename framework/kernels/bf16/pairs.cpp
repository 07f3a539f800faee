#include "voxgrad/framework/kernels/bf16/pairs.hpp"

#include <algorithm>
#include <atomic>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"

namespace vg::kernels {

using std::int64_t;

namespace {

constexpr int64_t grain = 32'768;  // elements per task

/// A volume as (outer, size, inner) around an axis.
struct Around {
  int64_t outer, size, inner;
};
Around around(int64_t batch, const int64_t* sizes, int64_t channels, int axis) {
  Around v{batch, sizes[axis], channels};
  for (int a = 0; a < axis; ++a) v.outer *= sizes[a];
  for (int a = axis + 1; a < 3; ++a) v.inner *= sizes[a];
  return v;
}

/// Calls f(row, begin, end) for parts of `rows` rows of n items of `size` elements, in tasks of about `grain` elements.
template <class F>
void for_parts_of_rows(int64_t rows, int64_t n, int64_t size, const F& f) {
  parallel_ranges(rows * n, std::max<int64_t>(1, grain / size), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / n, first = begin % n, last = std::min(n, first + end - begin);
      f(row, first, last);
      begin += last - first;
    }
  });
}

/// The number of (output, tap) pairs along an axis that read an input.
int64_t meetings(const Conv3dProblem& p, int a) {
  int64_t n = 0;
  for (int64_t k = 0; k < p.kernel_size[a]; ++k) {  // o begins at ceil((P - k R) / S); its inputs are below in_size
    const int64_t at = p.pad[a] - k * p.rhs_dilation[a], step = p.stride[a];
    const auto first_from = [&](int64_t i) { return i <= 0 ? -(-i / step) : ceil_div(i, step); };
    const int64_t begin = std::max<int64_t>(0, first_from(at));
    const int64_t end = std::min(p.out_size[a], std::max<int64_t>(0, first_from(at + p.in_size[a])));
    n += std::max<int64_t>(0, end - begin);
  }
  return n;
}

}  // namespace

int data_pass_pairing(const Conv3dProblem& p) {
  const int64_t ci = p.in_channels / p.groups;
  int best = channel_pairs;
  int64_t least = taps(p) * ceil_div(ci, 2);
  for (int a = 0; a < 3; ++a) {  // D is last: adjacent taps along it form one run
    if (p.lhs_dilation[a] != 1 || p.rhs_dilation[a] > p.in_size[a]) continue;
    const int64_t count = taps(p) / p.kernel_size[a] * ceil_div(p.kernel_size[a], 2) * ci;
    if (count < least) {
      best = a;
      least = count;
    }
  }
  return best;
}

Conv3dProblem data_pass_over_pairs(const Conv3dProblem& p, int axis, int64_t pairs) {
  Conv3dProblem q = p;
  if (axis == channel_pairs) {
    q.in_channels = p.groups * pairs;
    return q;
  }
  q.in_size[axis] += p.rhs_dilation[axis];
  q.pad[axis] -= p.rhs_dilation[axis];
  q.kernel_size[axis] = ceil_div(p.kernel_size[axis], 2);
  q.rhs_dilation[axis] *= 2;
  return q;
}

int weight_pairing(const Conv3dProblem& p) {
  int best = channel_pairs;
  double least = 0;
  for (int a = 2; a >= 0; --a) {
    if (p.lhs_dilation[a] != 1 || p.stride[a] > p.in_size[a]) continue;
    const auto before = static_cast<double>(std::max<int64_t>(1, meetings(p, a)));
    const double cost = static_cast<double>(meetings(weight_over_pairs(p, a), a)) / before;
    if (best == channel_pairs || cost < least) {
      best = a;
      least = cost;
    }
  }
  return best;
}

Conv3dProblem weight_over_pairs(const Conv3dProblem& p, int axis) {
  Conv3dProblem q = p;
  q.in_size[axis] += p.stride[axis];
  q.pad[axis] -= p.stride[axis];
  q.out_size[axis] = ceil_div(p.out_size[axis], 2);
  q.stride[axis] *= 2;
  return q;
}

void pair_channels(const Bf16Kernels& k, const Conv3dProblem& p, int64_t pairs, const float* x, Bf16Pair* to) {
  const int64_t ci = p.in_channels / p.groups, voxels = p.batch * in_volume(p) / p.in_channels;
  const int64_t rows = voxels * p.groups;
  if (ci == 2 * pairs)  // one long row
    parallel_ranges(rows * pairs, grain / 2, [&](int64_t begin, int64_t end) {
      k.pair_adjacent(1, 2 * (end - begin), x + 2 * begin, to + begin, end - begin);
    });
  else
    parallel_ranges(rows, std::max<int64_t>(1, grain / ci), [&](int64_t begin, int64_t end) {
      k.pair_adjacent(end - begin, ci, x + begin * ci, to + begin * pairs, pairs);
    });
}

bool pair_inputs(const Bf16Kernels& k, const Conv3dProblem& p, int axis, int64_t distance, const float* x,
                 Bf16Pair* to) {
  const Around v = around(p.batch, p.in_size, p.in_channels, axis);
  const int64_t n = v.size * v.inner, shift = distance * v.inner;  // shift <= n
  std::atomic<bool> finite{true};
  for_parts_of_rows(v.outer, n + shift, 1, [&](int64_t row, int64_t begin, int64_t end) {
    const float* const from = x + row * n;
    Bf16Pair* const y = to + row * (n + shift);
    const auto part = [&](int64_t b, int64_t e, bool has_a, bool has_b) {
      b = std::max(b, begin);
      e = std::min(e, end);
      if (b < e && !k.pair(1, e - b, has_a ? from + b - shift : nullptr, has_b ? from + b : nullptr, 0, y + b))
        finite = false;
    };
    part(0, shift, false, true);
    part(shift, n, true, true);
    part(n, n + shift, true, false);
  });
  return finite;
}

bool pair_outputs(const Bf16Kernels& k, const Conv3dProblem& p, int axis, const float* dy, Bf16Pair* to) {
  const Around v = around(p.batch, p.out_size, p.out_channels, axis);
  const int64_t whole = v.size / 2, all = ceil_div(v.size, 2);
  std::atomic<bool> finite{true};
  for_parts_of_rows(v.outer, all, v.inner, [&](int64_t outer, int64_t begin, int64_t end) {
    const float* const from = dy + (outer * v.size + 2 * begin) * v.inner;
    Bf16Pair* const y = to + (outer * all + begin) * v.inner;
    const int64_t both = std::min(end, whole) - begin;
    if (both > 0 && !k.pair(both, v.inner, from, from + v.inner, 2 * v.inner, y)) finite = false;
    if (end > whole) {
      const int64_t last = whole - begin;
      if (!k.pair(1, v.inner, from + 2 * last * v.inner, nullptr, 0, y + last * v.inner)) finite = false;
    }
  });
  return finite;
}

namespace {

/// Makes pairs of taps along an axis. With `transpose`, p's taps are w's in reverse, and so are the pairs.
bool pair_taps(const Bf16Kernels& k, const Conv3dProblem& p, int axis, bool transpose, const float* w, Bf16Pair* to) {
  const int64_t in_tap = p.in_channels / p.groups * p.out_channels;
  const Around v = around(1, p.kernel_size, in_tap, axis);
  const int64_t pairs = ceil_div(v.size, 2);
  bool finite = true;
  for (int64_t outer = 0; outer < v.outer; ++outer)
    for (int64_t j = 0; j < pairs; ++j, to += v.inner) {
      const int64_t first = 2 * (transpose ? pairs - 1 - j : j);
      const auto at = [&](int64_t tap) {
        return tap < v.size ? w + (outer * v.size + (transpose ? v.size - 1 - tap : tap)) * v.inner : nullptr;
      };
      finite &= k.pair(1, v.inner, at(first), at(first + 1), 0, to);
    }
  return finite;
}

}  // namespace

bool pair_weights(const Bf16Kernels& k, const Conv3dProblem& p, int axis, int64_t pairs, bool transpose, const float* w,
                  Bf16Pair* to) {
  if (axis != channel_pairs) return pair_taps(k, p, axis, transpose, w, to);
  const int64_t ci = p.in_channels / p.groups, co = p.out_channels;
  if (transpose) {  // channels are adjacent: (tap, output channel of a group, group, input channel)
    k.pair_adjacent(taps(p) * co, ci, w, to, pairs);
    return true;
  }
  parallel_for(
      taps(p),
      [&](int64_t tap) {
        const float* const from = w + tap * ci * co;
        Bf16Pair* const y = to + tap * pairs * co;
        const int64_t whole = ci / 2, odd = ci % 2;
        k.pair(whole, co, from, from + co, 2 * co, y);
        k.pair(odd, co, from + 2 * whole * co, nullptr, 0, y + whole * co);
        k.pair(pairs - whole - odd, co, nullptr, nullptr, 0, y + (whole + odd) * co);
      },
      taps(p) * ci * co < grain);
  return true;
}

}  // namespace vg::kernels
