// A model over volumes of any size: it sees windows of a fixed size, and their outputs are blended where they overlap.
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

/// How the outputs of overlapping windows are weighted: all alike, or by a Gaussian round the window's centre.
enum class Blending { constant, gaussian };

struct SlidingWindowOptions {
  /// Extents of a window (H, W, D); 0 or vg::dynamic: all of that axis.
  Triple window{0, 0, 0};
  /// Windows that the model sees at a time.
  std::int64_t batch_size = 1;
  /// The part of a window that the next one sees too, in [0, 1). Windows are int(window * (1 - overlap)) voxels apart,
  /// at least 1; the last of an axis is moved back to end where the volume ends.
  double overlap = 0.25;
  Blending blending = Blending::gaussian;
  /// The Gaussian's standard deviation along an axis is this times the window's extent. Weights below 1e-3 (the centre
  /// has about 1), or below the smallest one where that is larger, are raised to it.
  double sigma_scale = 0.125;
  /// Fills windows up where the volume is smaller: half of what is missing before it, the rest behind.
  double pad_value = 0;
  /// Spatial axes (0, 1, 2) to flip: the output of a window is the mean over all 2^n combinations of flips, each
  /// flipped back.
  std::vector<int> flips{};
  /// Told after each batch how many windows are done, and of how many.
  std::function<void(std::int64_t done, std::int64_t total)> progress{};
};

/// `predict` over `volume`, (B, H, W, D, C) or one sample (H, W, D, C), f32 or f64, any extents from 1 on. It gets (n,
/// h, w, d, C), n at most batch_size, and gives (n, h, w, d, K), K its own choice; the result is (B, H, W, D, K), or
/// (H, W, D, K), of its output's dtype, without a graph. Nothing is recorded meanwhile.
///
/// Numbers, places and order of the windows are those of MONAI's sliding_window_inference (there: roi_size,
/// sw_batch_size, mode, cval; blending is constant by default).
///
/// Memory beside volume and result: the weights' sums (H * W * D), one window's weights, and one batch of windows with
/// what `predict` takes and gives for it (with flips two batches and three outputs), however many windows there are.
///
/// Throws ValueError for options that are not allowed and for an output of other extents, TypeError for an i32 volume.
/// What `predict` and `progress` throw passes.
Tensor sliding_window(const std::function<Variable(const Variable&)>& predict, const Tensor& volume,
                      const SlidingWindowOptions& options);
/// The same with a model, in evaluation mode for the call; afterwards each module is in its own mode of before.
Tensor sliding_window(Module& model, const Tensor& volume, const SlidingWindowOptions& options);

}  // namespace vg
