// Element types. A dtype is a run-time value, so models, layers and user code are not templates.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "voxgrad/framework/base/op_guard.hpp"

namespace vg {

enum class DType : std::uint8_t { f32, f64, i32 };

inline constexpr DType f32 = DType::f32;
inline constexpr DType f64 = DType::f64;
inline constexpr DType i32 = DType::i32;

/// Bytes of one element.
constexpr std::int64_t size_of(DType dtype) { return dtype == DType::f64 ? 8 : 4; }
constexpr bool is_float(DType dtype) { return dtype != DType::i32; }
/// "f32", "f64" or "i32".
std::string_view name_of(DType dtype);
/// The dtype of that name. Throws TypeError for any other text.
DType dtype_from_name(std::string_view name);

template <class T>
constexpr DType dtype_of() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int32_t>,
                "a Tensor holds float, double or int32_t");
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else
    return DType::i32;
}

[[noreturn]] void throw_not_float(std::string_view where, DType got);

/// Calls f(T{}) with T = float or double. Throws TypeError for i32; its message begins with [where].
template <class F>
decltype(auto) dispatch_float(std::string_view where, DType dtype, F&& f) {
  const OpGuard scope(where);
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    default:
      throw_not_float(where, dtype);
  }
}

/// Calls f(T{}) with T = float, double or int32_t.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    default:
      return f(std::int32_t{});
  }
}

}  // namespace vg
