// Error messages for inputs of a wrong layout or dtype, with advice.
#pragma once

#include <string>

#include "voxgrad/layers/conv/geometry.hpp"

namespace vg::detail {

/// Advice for an input of a wrong shape: how to convert it, if the channels are where the other layout has them and not
/// where this layer has them; otherwise "". in_size is (H, W, D, C), (C, H, W, D) with channel_first, or (C,). `option`
/// tells whether the layer has an option channel_first.
std::string layout_hint(const Shape& x, const Size& in_size, bool channel_first = false, bool option = false);

/// Throws ValueError for an input x of a layer whose samples have in_size, with or without a batch axis.
[[noreturn]] void refuse_shape(const std::string& where, const Shape& x, const Size& in_size, const std::string& hint);

/// Throws TypeError for an input of dtype `got` to a layer whose parameters have dtype `parameters`.
[[noreturn]] void refuse_dtype(const std::string& where, DType got, DType parameters);

}  // namespace vg::detail
