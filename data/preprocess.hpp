// Preparation of a volume's values before training: scaling, label tables, and coordinates as inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// (x - mean) / standard deviation over all elements (the biased one, as numpy's std()), summed in double. f32 stays
/// f32; i32 becomes f32. Throws ValueError for an empty tensor, a value that is not finite, and a tensor whose values
/// are all equal.
Tensor standardize(const Tensor& x);

/// Returns table[label] for every element of an i32 tensor, for example to merge classes. Throws TypeError for another
/// dtype, and ValueError naming the first label that is negative or beyond the table.
Tensor map_labels(const Tensor& labels, const std::vector<std::int32_t>& table);

/// (H, W, D) or (H, W, D, C), f32 or f64 -> (H, W, D, C + 3). The three added channels hold each voxel's position along
/// H, W, D, from -1 (first) to 1 (last); an axis of extent 1 has -1. They let a convolution depend on the position.
Tensor add_coordinates(const Tensor& x);

/// (H, W, D) -> (H, W, D, 1), sharing the buffer; (H, W, D, C) is returned as it is. Throws ValueError for another
/// rank.
Tensor with_channel_axis(const Tensor& x);

}  // namespace vg
