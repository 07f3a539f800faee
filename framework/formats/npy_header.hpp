// The header of a .npy file is a literal of a Python dict. A parser for just this dict reads it as data; no code is
// run. Internal to framework/formats/.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"
#include "voxgrad/framework/formats/file_dtype.hpp"

namespace vg::detail {

/// An error in a header.
struct NpyFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct NpyHeader {
  FileDType type{};
  bool swapped = false;
  bool fortran_order = false;
  Shape shape;
  std::int64_t bytes = 0;  ///< of the data
};

/// The bytes of the magic, the version, and the first two bytes of the length that follows.
inline constexpr std::size_t npy_prefix_bytes = 10;
/// By default numpy itself reads headers of at most 10000 bytes.
inline constexpr std::int64_t longest_npy_header = 65535;

/// The number of bytes of the length field in a file that begins with `prefix`: 2 (version 1) or 4 (2 and 3). Throws
/// NpyFault.
std::size_t npy_length_bytes(std::string_view prefix);
/// Parses "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", spaces, a newline. Throws NpyFault.
NpyHeader parse_npy_header(std::string_view text);
/// The bytes before a tensor's data, identical to numpy's.
std::string make_npy_header(const Tensor& tensor);

}  // namespace vg::detail
