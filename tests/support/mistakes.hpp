// A hundred mistakes that users make, and the message of each: what is wrong, where, and what to do.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <voxgrad/voxgrad.hpp>

namespace vg::test {

/// `told`: texts that must all be in the message.
struct Mistake {
  std::string what;
  std::function<void()> make;
  std::vector<std::string> told;
};

inline Variable ones(const Shape& shape, DType dtype = f32) { return Tensor::ones(shape, dtype); }
inline Tensor labels(const Shape& shape, int value = 0) { return Tensor::full(shape, value, i32); }
inline Sequential small_net() {
  return Sequential(Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}), ReLU(), MaxPool3d(2),
                    GlobalAvgPool3d(), Linear(2));
}
/// A leaf with a gradient.
inline Variable trained(const Shape& shape) {
  Variable v(Tensor::ones(shape), true);
  sum(v * v).backward();
  return v;
}

inline void check(const std::vector<Mistake>& mistakes) {
  const bool prints = std::getenv("VOXGRAD_PRINT_MISTAKES") != nullptr;  // prints the table for readers
  for (const Mistake& m : mistakes) {
    std::string message;
    try {
      m.make();
      message = "(silent)";
    } catch (const std::exception& error) {
      message = error.what();
    }
    if (prints) std::printf("%s\n    %s\n", m.what.c_str(), message.c_str());
    INFO(m.what << ": " << message);
    CHECK(message != "(silent)");
    for (const std::string& told : m.told) CHECK_THAT(message, Catch::Contains(told));
  }
}

/// The tables, to be counted.
extern const std::vector<Mistake> layer_mistakes, input_mistakes, gradient_mistakes, loss_mistakes, training_mistakes,
    module_mistakes;

}  // namespace vg::test
