// What is done once to a volume's values before training: scaling, label tables, coordinates as inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// (x - mean) / standard deviation over all elements (the biased one, numpy's std()), summed in double. f32 stays f32,
/// i32 becomes f32. Throws ValueError for an empty tensor, one with a value that is not finite, or one whose values are
/// all equal.
Tensor standardize(const Tensor& x);

/// table[label] for every element of an i32 tensor: merges label classes. Throws TypeError for another dtype,
/// ValueError naming the first label that is negative or past the table.
Tensor map_labels(const Tensor& labels, const std::vector<std::int32_t>& table);

/// (H, W, D) or (H, W, D, C), f32 or f64 -> (H, W, D, C + 3): three channels more, which hold each voxel's position
/// along H, W, D from -1 (first) to 1 (last); an axis of extent 1 has -1. Lets a convolution see where it is.
Tensor add_coordinates(const Tensor& x);

/// (H, W, D) -> (H, W, D, 1), sharing the buffer; (H, W, D, C) as it is. Throws ValueError for another rank.
Tensor with_channel_axis(const Tensor& x);

}  // namespace vg
