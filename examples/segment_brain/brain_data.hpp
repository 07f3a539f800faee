// The T1 head and the AAL atlas of Debian's mricron-data, as one training and one held-out half brain.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

/// One half of the head, mirrored so that both halves look alike: the midline is at the high end of the first axis.
struct HalfBrain {
  vg::Tensor image;   ///< (H, W, D, 1), f32, zero mean and unit variance over the whole head
  vg::Tensor labels;  ///< (H, W, D), i32
};

struct BrainData {
  std::vector<std::string> classes;  ///< background first
  vg::Volume image;           ///< the whole head at the working resolution, (H, W, D), with the intensities of the file
  vg::Volume labels;          ///< the merged classes, (H, W, D), i32
  HalfBrain train, held_out;  ///< extents padded to multiples of 8, because the net has levels of stride 2

  /// Joins the padded labels of the two halves, (1, H, W, D), to a volume like `labels`.
  vg::Volume assemble(const vg::Tensor& train_labels, const vg::Tensor& held_out_labels) const;
};

/// Reads ch2.nii.gz, aal.nii.gz and aal.nii.txt from `folder`, merges the regions, averages to `spacing` mm (a multiple
/// of the files' 1 mm) and cuts at the midline. Throws vg::IoError with the name of a missing file and its package, and
/// vg::ValueError for a wrong spacing.
BrainData load_brain(const std::filesystem::path& folder, double spacing);
