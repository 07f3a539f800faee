#include "voxgrad/framework/base/dtype.hpp"

#include <string>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    default:
      return "i32";
  }
}

DType dtype_from_name(std::string_view name) {
  for (DType d : {DType::f32, DType::f64, DType::i32})
    if (name_of(d) == name) return d;
  throw TypeError("[dtype] got \"" + std::string(name) + "\"; allowed are f32, f64, i32");
}

void throw_not_float(std::string_view where, DType got) {
  throw TypeError("[" + std::string(where) + "] dtype: got " + std::string(name_of(got)) + "; must be f32 or f64");
}

}  // namespace vg
