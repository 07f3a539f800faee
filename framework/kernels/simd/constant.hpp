// A constant as a type, which selects a template. Included only by `*-inl.hpp`. Everything has internal linkage.
#pragma once

namespace vg::kernels {
namespace {

template <auto Value>
struct Constant {
  static constexpr auto value = Value;
};
template <int N>
using Int = Constant<N>;

}  // namespace
}  // namespace vg::kernels
