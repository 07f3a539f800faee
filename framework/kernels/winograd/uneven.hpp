// Long and wide tiles carry the roundings of each input to all outputs of its tile, also to those that do not meet it:
// with a value far above the others these are worth nothing there, and with one that is not finite all outputs are
// lost. Square tiles carry it to what meets it alone: a tile whose outputs are far apart is computed again with them,
// by itself, before anything is done to its block's outputs. Internal.
//
// The output transform bounds, of each block, how far apart they may be, from a few outputs (WinogradLevels): of
// ordinary numbers that is all there is. Where it is too far the outputs are looked at one by one. Those that meet
// zeros alone, as beside an object or in a masked gradient, become zero; others have their tile computed again if it is
// also far above ordinary outputs.
#pragma once

#include <cmath>
#include <mutex>

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/outputs.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

/// Whether a block's outputs have to be looked at. Of normally distributed ones `most` is up to 100 variances, and
/// `least` not below a fiftieth of one (8 channels).
template <class T>
bool may_be_uneven(const WinogradLevels<T>& levels) {
  return !(levels.most <= T(1 << 14) * levels.least) || !std::isfinite(levels.total);
}

/// What is computed: p's data pass with the weights w, as winograd::data_pass.
template <class T>
class Gathered {
 public:
  Gathered(const Conv3dProblem& problem, bool transposed, const ConcatView<const T>& inputs, const T* weights)
      : p(problem), transpose(transposed), x(inputs), w(weights) {}
  /// About what an output is where x is small, but not zero: estimated from some of x's voxels, of which an eighth are
  /// smaller, and of the weights.
  T ordinary() const;

  const Conv3dProblem& p;
  const bool transpose;
  const ConcatView<const T>& x;
  const T* const w;

 private:
  mutable std::once_flag once_;
  mutable T ordinary_ = 0;
};

/// Looks at a block's outputs, all slices in them, and computes the uneven tiles again.
template <class T>
void mend_uneven_tiles(const Gathered<T>& of, const Tiling& tiling, const Tiling::Block& block,
                       const WinogradLevels<T>& found, BlockOutputs<T>& y);

}  // namespace vg::kernels::winograd
