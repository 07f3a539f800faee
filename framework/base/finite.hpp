// Which element of a tensor is no finite number.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// A NaN or an infinity where there should be none.
struct NonFiniteError : ValueError {
  using ValueError::ValueError;
  std::string op{};          ///< that made it or met it, where one is known
  std::string layer{};       ///< path of the module that called the op; "" for the model itself or outside of it
  std::int64_t step = 0;     ///< NanFinder::step()
  bool in_gradient = false;  ///< in the gradient of `op`, not in its value
};

/// The first NaN of a tensor (row-major), or, where `infinities` count too, the first element that is not finite;
/// nothing for i32 and for an undefined tensor.
std::optional<std::int64_t> find_non_finite(const Tensor& t, bool infinities = true);
/// "nan at (0, 3) of f32 (2, 4)", for element `at` in row-major order.
std::string describe_non_finite(const Tensor& t, std::int64_t at);

}  // namespace vg
