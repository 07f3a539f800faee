// A number as a type, to choose a template by. Included only by the bodies; everything has internal linkage.
#pragma once

namespace vg::kernels {
namespace {

template <int N>
struct Int {
  static constexpr int value = N;
};

}  // namespace
}  // namespace vg::kernels
