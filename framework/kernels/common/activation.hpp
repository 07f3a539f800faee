// An activation that kernels apply to values in registers. Plain data.
#pragma once

namespace vg::kernels {

struct Activation {
  enum class Kind { none, relu, leaky_relu } kind = Kind::none;
  double slope = 0;  ///< slope of leaky_relu below 0

  bool any() const { return kind != Kind::none; }
};

}  // namespace vg::kernels
