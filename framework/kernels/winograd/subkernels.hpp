// Kernels with five taps per axis by Winograd's F(2, 3). Internal to framework/kernels.
//
// Along an axis, five taps are two subkernels of three taps, two outputs apart: taps (0, 1, none) and (2, 3, 4). The
// second subkernel reads at a tile the inputs that the first one reads at the next tile. So inputs are transformed
// once, and the products at a point are a convolution over tiles with two taps along each such axis: 8 products for 2
// outputs instead of 10, and in three dimensions 64 x 8 for 8 outputs instead of 125 x 8.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/pack.hpp"

namespace vg::kernels::winograd {

/// The number of subkernels of at most three taps along each axis; they are numbered row-major.
struct SubKernels {
  explicit SubKernels(const Conv3dProblem& p);

  std::int64_t count[3];
  std::int64_t all() const { return count[0] * count[1] * count[2]; }
  /// Subkernels that read different rows: those along H and W.
  std::int64_t rows() const { return count[0] * count[1]; }
  /// Input tiles of a run along D in excess of its output tiles.
  std::int64_t halo() const { return count[2] - 1; }
  /// The index (0 or 1) of a subkernel along an axis.
  std::int64_t along(int axis, std::int64_t part) const;
};

/// p with three taps along each axis that has five: the shape of a subkernel.
Conv3dProblem shape_of_part(const Conv3dProblem& p);

/// f(tap of the subkernel, tap of the kernel) for all taps that the subkernel has.
template <class F>
void each_tap(const Conv3dProblem& p, std::int64_t part, const F& f) {
  const SubKernels parts(p);
  const Conv3dProblem q = shape_of_part(p);
  std::int64_t first[3], have[3];
  for (int a = 0; a < 3; ++a) {
    first[a] = 2 * parts.along(a, part);
    have[a] = parts.count[a] == 2 && first[a] == 0 ? 2 : q.kernel_size[a];
  }
  for (std::int64_t h = 0; h < have[0]; ++h)
    for (std::int64_t w = 0; w < have[1]; ++w)
      for (std::int64_t d = 0; d < have[2]; ++d)
        f((h * q.kernel_size[1] + w) * q.kernel_size[2] + d,
          ((first[0] + h) * p.kernel_size[1] + first[1] + w) * p.kernel_size[2] + first[2] + d);
}

/// The weights of the data pass over p (pack.hpp), divided into subkernels.
template <class T>
class SubKernelWeights {
 public:
  SubKernelWeights(const Conv3dProblem& p, bool transpose, const T* w);
  Weights<T> of(std::int64_t part) const;

 private:
  Weights<T> from_;
  std::int64_t part_size_;
  memory::Scratch<T> copies_;  // empty if there is one subkernel
};

/// Copies rows [row, row + rows) of a subkernel's gradient, [tap of the subkernel][row][output channel], to dw.
template <class T>
void put_part(const Conv3dProblem& p, std::int64_t part, std::int64_t row, std::int64_t rows, const T* taps, T* dw);

}  // namespace vg::kernels::winograd
