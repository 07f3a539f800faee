// What layers say to an input of another layout or dtype, with what to do about it.
#pragma once

#include <string>

#include "voxgrad/layers/conv/geometry.hpp"

namespace vg::detail {

/// For an input of a wrong shape: "" unless x has the channels where volumes of the other layout have them, and not
/// where this layer has them; else what to do. in_size is (H, W, D, C), (C, H, W, D) with channel_first, or (C,).
/// `option`: whether the layer has an option channel_first.
std::string layout_hint(const Shape& x, const Size& in_size, bool channel_first = false, bool option = false);

/// Throws ValueError for an input x to a layer over samples of in_size, with or without a batch axis.
[[noreturn]] void refuse_shape(const std::string& where, const Shape& x, const Size& in_size, const std::string& hint);

/// Throws TypeError for an input of dtype `got` to a layer whose parameters are `parameters`.
[[noreturn]] void refuse_dtype(const std::string& where, DType got, DType parameters);

}  // namespace vg::detail
