// Builds the lists (indirection.hpp), packs weights, distributes tasks to threads and calls the kernels in force.
//
// Tasks are boxes of about `target_task_outputs` outputs, cut by shape. Each writes its own outputs, so forward and
// grad_input have no reductions. grad_weight distributes the boxes, in order, among partial sums, whose number depends
// on the shape only. Each of them sums its boxes in its own copy of dw, and the copies are added in order.
#include "voxgrad/framework/kernels/direct/direct.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/pack.hpp"
#include "voxgrad/framework/kernels/direct/lookahead_buffer.hpp"
#include "voxgrad/framework/kernels/direct/pad_copy.hpp"

namespace vg::kernels::direct {

using std::int64_t;

namespace {

/// The number of runs per output or position (indirection.hpp), and the rows per run.
struct Runs {
  int64_t count, rows;
  explicit Runs(const Conv3dProblem& p) {
    const int64_t phase = std::max<int64_t>(1, p.kernel_size[2] / p.lhs_dilation[2]);
    const int64_t merged = p.groups == 1 && p.rhs_dilation[2] == p.lhs_dilation[2] ? phase : 1;
    count = std::max<int64_t>(1, taps(p) / p.kernel_size[2] * phase / merged);
    rows = merged * (p.in_channels / p.groups);
  }
};

}  // namespace

// FMAs per output, and four steps per channel to sum its lanes.
double igemm_narrow_share(const Conv3dProblem& p, int64_t lanes) {
  const int64_t co = p.out_channels / p.groups;
  const Runs runs(p);
  return static_cast<double>(runs.count * ceil_div(runs.rows, lanes) * co + 4 * co) /
         static_cast<double>(runs.count * runs.rows * ceil_div(co, lanes));
}

bool igemm_is_narrow(const Conv3dProblem& p, int64_t lanes) { return igemm_narrow_share(p, lanes) <= 1; }

// FMAs per position; a smaller vector takes its share of a whole vector's time. Lanes over the rows are added to dw one
// by one, after about `positions` positions.
bool wgrad_is_narrow(const Conv3dProblem& p, int64_t lanes, int64_t least_lanes) {
  const int64_t co = p.out_channels / p.groups;
  const Runs runs(p);
  const int64_t columns = co <= least_lanes ? least_lanes : ceil_div(co, lanes) * lanes;
  const int64_t positions = std::clamp<int64_t>(outputs(p) / 64, 4, 256);
  return positions * ceil_div(runs.rows, lanes) * lanes * co + lanes * runs.rows * co < positions * runs.rows * columns;
}

namespace {

/// Whether lanes over the output channels of several groups pay: a group fills at most half a vector, and the input
/// channels of a vector of output channels fit two vectors (igemm_grouped).
bool is_grouped(const Conv3dProblem& p, int64_t lanes) {
  const int64_t ci = p.in_channels / p.groups, co = p.out_channels / p.groups;
  if (p.groups == 1 || 2 * co > lanes) return false;
  const int64_t groups = lanes % co == 0 ? lanes / co : (lanes - 2) / co + 2;
  return std::min(groups, p.groups) * ci <= 2 * lanes;
}

// ---- forward and grad_input ----------------------------------------------------------------------------------------

/// Depthwise and small groups: one call per chunk computes all channels.
template <class T>
void data_pass_lanes_over_groups(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y) {
  const KernelTable<T>& table = current_table<T>();
  const bool depthwise = is_depthwise(p);
  const auto kernel = depthwise ? table.igemm_depthwise : table.igemm_grouped;
  const bool packs = transpose && !depthwise;  // for depthwise, reversing the taps is enough
  memory::Scratch<T> packed(packs ? taps(p) * p.in_channels / p.groups * p.out_channels : 0);
  if (packs) pack_rows(p, weights_of(p, w, true), packed.data());
  const T* const rows = packs ? packed.data() : w;

  const std::shared_ptr<const Indirection> kept = indirection_of(p, target_task_outputs(p));
  const Indirection& indirection = *kept;
  const int64_t last_tap = taps(p) - 1;
  parallel_for(
      indirection.boxes(),
      [&](int64_t task) {
        const Box box = indirection.box(task);
        IndirectionBuffer lists(indirection);
        for (int64_t d = box.d_begin; d < box.d_end; ++d) {
          const int64_t tap_count = indirection.taps(box, d, false, lists.taps());
          if (transpose && depthwise)
            for (int64_t t = 0; t < tap_count; ++t) lists.taps()[t].w = last_tap - lists.taps()[t].w;
          const int64_t positions = indirection.positions(box, d, lists.x_indirection(), lists.y_indirection());
          kernel({x, rows, y, lists.taps(), tap_count, lists.x_indirection(), lists.y_indirection(), positions, 0,
                  p.out_channels, 0, p.out_channels, p.in_channels / p.groups, p.out_channels / p.groups, false});
        }
      },
      is_small(p));
}

}  // namespace

bool lanes_over_groups(const Conv3dProblem& p, int64_t lanes) { return is_depthwise(p) || is_grouped(p, lanes); }

template <class T>
void data_pass(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y, const Epilogue<T>& epilogue) {
  const KernelTable<T>& table = current_table<T>();
  if (lanes_over_groups(p, table.lanes)) {
    data_pass_lanes_over_groups(p, transpose, x, w, y);
    return epilogue.pass(outputs(p), p.out_channels, y);
  }
  const bool few = igemm_is_narrow(p, table.lanes);
  memory::Scratch<T> packed(p.groups * packed_size(p, few, table.lanes));
  pack(p, weights_of(p, w, transpose), few, table.lanes, packed.data());
  data_pass_packed(p, few ? table.igemm_narrow : table.igemm, table.lanes, x, packed.data(),
                   packed_size(p, few, table.lanes), y, epilogue);
}

namespace {

/// Whether most outputs use no tap: a dimension has more phases than taps, as in grad_input with a stride beyond the
/// kernel. Then all outputs are zeroed first, and those without taps are skipped.
bool is_sparse(const Conv3dProblem& p) {
  int64_t phases = 1, used = 1;
  for (int a = 0; a < 3; ++a) {
    const int64_t step = p.lhs_dilation[a] / std::gcd(p.lhs_dilation[a], p.stride[a]);
    phases *= step;
    used *= std::min(step, p.kernel_size[a]);
  }
  return 2 * used < phases;
}

template <class T>
void zero(int64_t n, T* y) {
  parallel_ranges(n, int64_t{1} << 18, [&](int64_t begin, int64_t end) { std::fill(y + begin, y + end, T(0)); });
}

/// Applies the epilogue to the outputs of a list, with one call for outputs that follow each other.
template <class T>
void apply_to_list(const Epilogue<T>& epilogue, int64_t task, const int64_t* y_indirection, int64_t count,
                   int64_t channels, T* y) {
  for (int64_t begin = 0, end = 1; begin < count; begin = end++) {
    while (end < count && y_indirection[end] == y_indirection[end - 1] + channels) ++end;
    epilogue.apply(task, y_indirection[begin] / channels, end - begin, y + y_indirection[begin]);
  }
}

}  // namespace

template <class T>
void data_pass_packed(const Conv3dProblem& p, IgemmKernel<T> kernel, int64_t lanes, const T* x, const T* w,
                      int64_t group_size, Sum<T>* y, const Epilogue<Sum<T>>& epilogue) {
  const int64_t ci = p.in_channels / p.groups, co = p.out_channels / p.groups;
  const std::shared_ptr<const Indirection> kept = indirection_of(p, target_task_outputs(p));
  const Indirection& indirection = *kept;
  const bool sparse = is_sparse(p);
  if (sparse) zero(p.batch * out_volume(p), y);
  // In small volumes with many channels, the channels are divided among tasks, too.
  const int64_t blocks = ceil_div(co, 2 * lanes);
  const int64_t parts = std::clamp<int64_t>(ceil_div(16, std::max<int64_t>(1, indirection.boxes())), 1, blocks);
  const int64_t part_channels = ceil_div(blocks, parts) * 2 * lanes;
  const bool applies = epilogue.begin(indirection.boxes(), parts == 1 && !sparse && p.lhs_dilation[2] == 1);
  const bool stream = !applies && is_store_bound(p) && should_stream(p, y);
  parallel_for(
      indirection.boxes() * parts,
      [&](int64_t task) {
        const Box box = indirection.box(task / parts);
        const int64_t co_begin = task % parts * part_channels, co_end = std::min(co, co_begin + part_channels);
        if (co_begin >= co_end) return;
        IndirectionBuffer lists(indirection);
        for (int64_t d = box.d_begin; d < box.d_end; ++d) {
          const int64_t tap_count = indirection.taps(box, d, true, lists.taps());
          if (tap_count == 0 && sparse) continue;
          const int64_t positions = indirection.positions(box, d, lists.x_indirection(), lists.y_indirection());
          for (int64_t g = 0; g < p.groups; ++g)
            kernel({x + g * ci, w + g * group_size, y + g * co, lists.taps(), tap_count, lists.x_indirection(),
                    lists.y_indirection(), positions, taps(p) * ci, 0, co_begin, co_end, ci, co, stream, true});
          if (applies) apply_to_list(epilogue, task, lists.y_indirection(), positions, p.out_channels, y);
        }
      },
      is_small(p));
  if (!applies) epilogue.pass(outputs(p), p.out_channels, y);
}

// ---- grad_weight ---------------------------------------------------------------------------------------------------

namespace {

/// How the sum over the volume is cut: there are `partials` copies of dw, each of which adds its boxes in order. If few
/// partial sums pay, the output channels (or the groups) are cut into `parts` as well.
struct Split {
  int64_t partials, parts, part_size;
  bool by_group;  ///< part_size counts groups, else output channels
};

/// The fewest positions per box. The rows of weights are listed once per chunk along D, of which a box often has three.
constexpr int64_t weight_positions = 256;

Split split_of(const Conv3dProblem& p, const Indirection& indirection, int64_t lanes, bool over_groups, int64_t bytes) {
  const int64_t size = taps(p) * (p.in_channels / p.groups) * p.out_channels;
  const int64_t by_memory = cache::direct_partial_sums / std::max<int64_t>(1, size * bytes);
  // Adding a copy costs as much as some ten positions. With input dilation, a weight is used at a share of the outputs.
  const int64_t by_work = outputs(p) / (p.lhs_dilation[0] * p.lhs_dilation[1] * p.lhs_dilation[2]) / weight_positions;
  Split s;
  s.partials = std::max<int64_t>(1, std::min({int64_t{32}, indirection.boxes(), by_memory, by_work}));
  s.by_group = p.groups > 1 && !over_groups;
  const int64_t block = s.by_group ? 1 : p.groups > 1 ? lanes : 2 * lanes;
  const int64_t blocks = ceil_div(s.by_group ? p.groups : p.out_channels, block);
  s.part_size = ceil_div(blocks, std::clamp<int64_t>(ceil_div(16, s.partials), 1, blocks)) * block;
  s.parts = ceil_div(s.by_group ? p.groups : p.out_channels, s.part_size);
  return s;
}

template <class T>
WgradKernel<T> weight_kernel(const Conv3dProblem& p) {
  const KernelTable<T>& table = current_table<T>();
  if (is_depthwise(p)) return table.wgrad_depthwise;
  if (is_grouped(p, table.lanes)) return table.wgrad_grouped;
  return wgrad_is_narrow(p, table.lanes, table.weight_lanes) ? table.wgrad_narrow : table.wgrad;
}

/// dw (of one partial sum) += the boxes [begin, end), for the part [part_begin, part_end). Box `after` may follow them.
template <class T>
void weight_boxes(const Conv3dProblem& p, const Indirection& indirection, WgradKernel<T> kernel, int64_t begin,
                  int64_t end, int64_t after, bool by_group, int64_t part_begin, int64_t part_end, const T* x,
                  const T* dy, Sum<T>* dw) {
  const int64_t ci = p.in_channels / p.groups, co = p.out_channels / p.groups;
  LookaheadBuffer lists(indirection, p.groups == 1);
  lists.each(begin, end, after,
             [&](const TapRun* taps, int64_t tap_count, const int64_t* x_indirection, const int64_t* y_indirection,
                 int64_t positions) {
               if (!by_group)
                 return kernel({x, dy, dw, taps, tap_count, x_indirection, y_indirection, positions, p.out_channels,
                                part_begin, part_end, ci, co, lists.ahead});
               for (int64_t g = part_begin; g < part_end; ++g)
                 kernel({x + g * ci, dy + g * co, dw + g * co, taps, tap_count, x_indirection, y_indirection, positions,
                         p.out_channels, 0, co, ci, co, lists.ahead});
             });
}

template <class T>
void add_partials(const T* partials, int64_t count, int64_t size, T* dw) {
  parallel_ranges(size, 4096, [&](int64_t begin, int64_t end) {
    std::copy(partials + begin, partials + end, dw + begin);
    for (int64_t s = 1; s < count; ++s)
      current_table<T>().accumulate(end - begin, partials + s * size + begin, dw + begin);
  });
}

}  // namespace

namespace {

/// Returns false if dw is not finite: a dy that is not finite may have been multiplied with zeros of the padding.
template <class T>
bool grad_weight_padded(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  const Conv3dProblem q = padded::problem_of(p);
  grad_weight_by(q, weight_kernel<T>(q), current_table<T>().lanes, false, padded::inputs(p, x).data(), dy, dw);
  return std::all_of(dw, dw + taps(p) * p.in_channels * p.out_channels, [](T v) { return std::isfinite(v); });
}

}  // namespace

template <class T>
void grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  const int64_t lanes = current_table<T>().lanes;
  if (padded::applies(p, lanes, sizeof(T)) && grad_weight_padded(p, x, dy, dw)) return;
  grad_weight_by(p, weight_kernel<T>(p), lanes, lanes_over_groups(p, lanes), x, dy, dw);
}

template <class T>
void grad_weight_by(const Conv3dProblem& p, WgradKernel<T> kernel, int64_t lanes, bool over_groups, const T* x,
                    const T* dy, Sum<T>* dw) {
  const std::shared_ptr<const Indirection> kept = indirection_of(p, std::max(weight_positions, target_task_outputs(p)));
  const Indirection& indirection = *kept;
  const int64_t size = taps(p) * (p.in_channels / p.groups) * p.out_channels, boxes = indirection.boxes();
  const Split split = split_of(p, indirection, lanes, over_groups, sizeof(*dw));
  memory::Scratch<Sum<T>> copies(split.partials > 1 ? split.partials * size : 0);
  Sum<T>* const partials = split.partials > 1 ? copies.data() : dw;
  const int64_t all = split.by_group ? p.groups : p.out_channels,
                columns = split.by_group ? p.out_channels / p.groups : 1;
  parallel_for(
      split.partials * split.parts,
      [&](int64_t task) {
        const int64_t partial = task / split.parts, part = task % split.parts;
        const int64_t part_begin = part * split.part_size, part_end = std::min(all, part_begin + split.part_size);
        Sum<T>* const to = partials + partial * size;
        const int64_t step = split.parts == 1 ? size : p.out_channels,
                      width = split.parts == 1 ? size : (part_end - part_begin) * columns;
        for (int64_t row = 0; row < size; row += step) std::fill_n(to + row + part_begin * columns, width, Sum<T>(0));
        const auto first_box = [&](int64_t index) { return boxes * index / split.partials; };
        const int64_t next = (task + 1) / split.parts;  // of the thread's next task, unless its share ends
        weight_boxes(p, indirection, kernel, first_box(partial), first_box(partial + 1), first_box(next),
                     split.by_group, part_begin, part_end, x, dy, to);
      },
      is_small(p));
  if (split.partials > 1) add_partials(partials, split.partials, size, dw);
}

template void data_pass<float>(const Conv3dProblem&, bool, const float*, const float*, float*, const Epilogue<float>&);
template void grad_weight<float>(const Conv3dProblem&, const float*, const float*, float*);
template void data_pass<double>(const Conv3dProblem&, bool, const double*, const double*, double*,
                                const Epilogue<double>&);
template void grad_weight<double>(const Conv3dProblem&, const double*, const double*, double*);
template void data_pass_packed<Bf16Pair>(const Conv3dProblem&, IgemmKernel<Bf16Pair>, int64_t, const Bf16Pair*,
                                         const Bf16Pair*, int64_t, float*, const Epilogue<float>&);
template void grad_weight_by<Bf16Pair>(const Conv3dProblem&, WgradKernel<Bf16Pair>, int64_t, bool, const Bf16Pair*,
                                       const Bf16Pair*, float*);

}  // namespace vg::kernels::direct
