// Cuts a convolution into lists of positions that share their taps. Internal to framework/kernels.
//
// In one dimension, output o reads input i at tap k if i * L == o * S - P + k * R. With g = gcd(S, L), the outputs
// o = r + t * L/g of one phase r use the same taps, and the input of a tap moves by S/g from one t to the next. So
// stride, padding and both dilations become index arithmetic, and no inserted zero is ever multiplied. A phase is cut
// further where a tap enters or leaves the input. The pieces are `segments`; all outputs of a segment use the same
// taps. Segments of the three dimensions multiply: a task is a box of outputs, (H chunk) x (W chunk) x (chunks along
// D), and each chunk lies within a segment.
//
// grad_input is the same relation with o and i exchanged: S and L swap, P becomes (K-1) R - P, taps are reversed and
// channels swap. So one class serves all passes and the transposed convolution.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// The outputs first + t * out_step, 0 <= t < count. They use the taps [tap_begin, tap_end) of the dimension.
struct Segment {
  std::int64_t first, count, tap_begin, tap_end;
};

/// At the first output of its segment, tap k reads input i.
struct AxisTap {
  std::int64_t k, i;
};

struct Axis {
  std::int64_t out_step, in_step;
  std::vector<Segment> segments;
  std::vector<AxisTap> taps;
};

/// The `count` outputs of segment `segment` from its `begin`-th on.
struct Chunk {
  std::int64_t segment, begin, count;
};

/// The outputs of a task: one chunk in H, one in W, and a range of chunks in D.
struct Box {
  std::int64_t batch, h, w, d_begin, d_end;
};

class Indirection {
 public:
  /// A task has about `positions` outputs.
  Indirection(const Conv3dProblem& p, std::int64_t positions);

  std::int64_t boxes() const;
  Box box(std::int64_t index) const;
  /// Upper bounds: taps and positions per chunk along D, positions per box.
  std::int64_t most_taps() const { return most_taps_; }
  std::int64_t most_positions() const { return most_positions_; }
  std::int64_t most_box_positions() const { return most_box_positions_; }

  /// Writes the taps of chunk d of a box in ascending order of k and returns their number. Each x is relative to that
  /// of the first tap; `merge` joins runs that are contiguous in x and in w.
  std::int64_t taps(const Box& box, std::int64_t d, bool merge, TapRun* taps) const;
  /// The number of outputs of chunk d of a box.
  std::int64_t positions(const Box& box, std::int64_t d) const;
  /// Writes the offsets of these outputs and of their inputs at the first tap (0 without taps); returns their number.
  std::int64_t positions(const Box& box, std::int64_t d, std::int64_t* x_indirection,
                         std::int64_t* y_indirection) const;

 private:
  Conv3dProblem p_;
  Axis axes_[3];
  struct Part {
    Chunk chunk;
    const Segment* segment;
  };
  Part part(const Box& box, std::int64_t d, int axis) const;

  std::vector<Chunk> chunks_[3];
  std::int64_t d_parts_, most_taps_, most_positions_, most_box_positions_;
};

/// The indirection of a problem. It is built once and cached while it is among the last 64 built.
std::shared_ptr<const Indirection> indirection_of(const Conv3dProblem& p, std::int64_t positions);

/// The problem whose forward pass is p's grad_input (with the weights' taps reversed and channels transposed).
Conv3dProblem transposed(const Conv3dProblem& p);
/// The same problem with the fewest dimensions: a 1x1x1 convolution without stride or padding becomes one long row.
Conv3dProblem collapsed(const Conv3dProblem& p);

}  // namespace vg::kernels
