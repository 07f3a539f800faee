// Statistics by which a user can judge the health of a tensor.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/tensor.hpp"

namespace command {

struct Statistics {
  double min = 0, mean = 0, max = 0, std = 0;  ///< of the finite values; 0 if there are none
  std::int64_t finite = 0, nan = 0, inf = 0;
};

Statistics statistics(const vg::Tensor& tensor);

}  // namespace command
