// Finds the elements of a tensor that are not finite.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// A NaN or an infinity in a value or a gradient that must be finite.
struct NonFiniteError : ValueError {
  using ValueError::ValueError;
  std::string op{};          ///< the op that produced it or read it first, if there is one
  std::string layer{};       ///< path of the module that called the op; "" for the model itself or outside of it
  std::int64_t step = 0;     ///< NanFinder::step()
  bool in_gradient = false;  ///< true if it is in the gradient of `op`, not in its value
};

/// The row-major index of a tensor's first NaN, or, if `infinities` is true, of the first element that is not finite.
/// Empty if there is none, for i32 and for an undefined tensor.
std::optional<std::int64_t> find_non_finite(const Tensor& t, bool infinities = true);
/// "nan at (0, 3) of f32 (2, 4)", for element `at` in row-major order.
std::string describe_non_finite(const Tensor& t, std::int64_t at);

}  // namespace vg
