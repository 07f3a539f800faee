// Runs a model on volumes of any size: it processes windows of a fixed size, and overlapping outputs are blended.
//
//   auto model = vg::load_model("model.json");
//   vg::Volume head = vg::read_nifti("head.nii.gz");                       // (H, W, D)
//   const vg::Triple e = head.extent();
//   vg::Tensor scores = vg::sliding_window(*model, head.data.reshape({e[0], e[1], e[2], 1}),
//                                          {.window = {64, 64, 64}, .overlap = 0.5, .flips = {0}});
//   head.data = vg::argmax(scores);                                        // (H, W, D) labels
//   vg::write_nifti("labels.nii.gz", head);
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// The weights of overlapping windows' outputs: constant, or a Gaussian around the window's centre.
enum class Blending { constant, gaussian };

struct SlidingWindowOptions {
  /// The extents of a window (H, W, D); 0 or vg::dynamic means the whole axis.
  Triple window{0, 0, 0};
  /// The number of windows per call of the model.
  std::int64_t batch_size = 1;
  /// The fraction of a window that it shares with the next one, in [0, 1). Windows are int(window * (1 - overlap))
  /// voxels apart, at least 1; the last window of an axis is moved back so that it ends at the volume's end.
  double overlap = 0.25;
  Blending blending = Blending::gaussian;
  /// The Gaussian's standard deviation along an axis is this times the window's extent. The weight at the centre is
  /// about 1; smaller weights are raised to the larger of 1e-3 and the smallest weight.
  double sigma_scale = 0.125;
  /// Fills windows if the volume is smaller: half of the missing voxels before it, the rest behind it.
  double pad_value = 0;
  /// Spatial axes (0, 1, 2) to flip: the output of a window is the mean over all 2^n combinations of flips, each
  /// flipped back.
  std::vector<int> flips{};
  /// Called after each batch with the number of windows done and their total.
  std::function<void(std::int64_t done, std::int64_t total)> progress{};
};

/// Runs `predict` over `volume`, (B, H, W, D, C) or one sample (H, W, D, C), f32 or f64, with any extents from 1 on.
/// `predict` gets (n, h, w, d, C) with n at most batch_size, and returns (n, h, w, d, K) with a K of its own. The
/// result is (B, H, W, D, K), or (H, W, D, K), of the output's dtype, without a graph: nothing is recorded during the
/// call.
///
/// The number, positions and order of the windows are those of MONAI's sliding_window_inference (its arguments are
/// roi_size, sw_batch_size, mode and cval; its blending is constant by default).
///
/// Memory beside volume and result: the weights' sums (H * W * D), one window's weights, and one batch of windows with
/// its output and the memory of `predict` (with flips two batches and three outputs), for any number of windows.
///
/// Throws ValueError for options that are not allowed and for an output of other extents, and TypeError for an i32
/// volume. Exceptions of `predict` and `progress` pass through.
Tensor sliding_window(const std::function<Variable(const Variable&)>& predict, const Tensor& volume,
                      const SlidingWindowOptions& options);
/// The same with a model, in evaluation mode during the call; afterwards each module has its previous mode again.
Tensor sliding_window(Module& model, const Tensor& volume, const SlidingWindowOptions& options);

}  // namespace vg
