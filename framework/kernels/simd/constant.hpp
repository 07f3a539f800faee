// A number as a type, which selects a template. Included only by `*-inl.hpp`. Everything has internal linkage.
#pragma once

namespace vg::kernels {
namespace {

template <int N>
struct Int {
  static constexpr int value = N;
};

}  // namespace
}  // namespace vg::kernels
