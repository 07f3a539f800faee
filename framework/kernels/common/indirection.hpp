// How a convolution is cut into lists of positions that share their taps. Internal to framework/kernels.
//
// In one dimension, output o and tap k meet input i when i * L == o * S - P + k * R. With g = gcd(S, L), the outputs
// o = r + t * L/g of one phase r meet the same taps, and the input of a tap moves by S/g from one t to the next:
// stride, padding and both dilations are nothing but index arithmetic, no zero is ever multiplied. A phase is cut
// further where a tap enters or leaves the input; the pieces are `segments`, whose outputs share exactly their taps.
// Segments of the three dimensions multiply: a task is a box of outputs, (H chunk) x (W chunk) x (chunks along D), each
// chunk within a segment.
//
// grad_input is the same relation with o and i exchanged (S and L swap, P -> (K-1) R - P, taps and channels reversed),
// so one indirection serves all passes, and the transposed convolution.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// Outputs first + t * out_step, 0 <= t < count, which meet the taps [tap_begin, tap_end) of the dimension.
struct Segment {
  std::int64_t first, count, tap_begin, tap_end;
};

/// Tap k meets input i at the first output of its segment.
struct AxisTap {
  std::int64_t k, i;
};

struct Axis {
  std::int64_t out_step, in_step;
  std::vector<Segment> segments;
  std::vector<AxisTap> taps;
};

/// count outputs of segment `segment`, from its `begin`-th on.
struct Chunk {
  std::int64_t segment, begin, count;
};

/// What a task covers: one chunk in H and in W, a range of chunks in D.
struct Box {
  std::int64_t batch, h, w, d_begin, d_end;
};

class Indirection {
 public:
  /// `positions`: about how many outputs a task should have.
  Indirection(const Conv3dProblem& p, std::int64_t positions);

  std::int64_t boxes() const;
  Box box(std::int64_t index) const;
  /// Upper bounds for the lists below.
  std::int64_t most_taps() const { return most_taps_; }
  std::int64_t most_positions() const { return most_positions_; }
  std::int64_t most_box_positions() const { return most_box_positions_; }

  /// The taps of chunk d of a box, in ascending order of k, and their number. x is relative to the first one's;
  /// `merge` joins runs that are contiguous in x and in w.
  std::int64_t taps(const Box& box, std::int64_t d, bool merge, TapRun* taps) const;
  std::int64_t positions(const Box& box, std::int64_t d) const;
  /// The offsets of its outputs, and their number: x_indirection of the first tap's input, without a tap 0.
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

/// The indirection of a problem: made once, then kept for as long as it is among the last 64 that were made.
std::shared_ptr<const Indirection> indirection_of(const Conv3dProblem& p, std::int64_t positions);

/// The problem whose forward pass is p's grad_input (with the weights' taps reversed and channels transposed).
Conv3dProblem transposed(const Conv3dProblem& p);
/// The same problem with as few dimensions as can be: a 1x1x1 convolution without stride or padding is one long row.
Conv3dProblem collapsed(const Conv3dProblem& p);

}  // namespace vg::kernels
