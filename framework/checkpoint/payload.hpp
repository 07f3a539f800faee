// The values of a tensor in a checkpoint, as decimals or base64: streamed between a file and the tensor's memory.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/tensor.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"
#include "voxgrad/framework/system/input_file.hpp"

namespace vg::checkpoint {

using detail::InputFile;

/// Reads the entries of a JSON array up to its closing bracket. `entry` is the number of the entry that is being read,
/// or
/// -1 behind the last one.
/// Throws ParseError unless there are as many valid numbers as the shape has; the input then points behind the fault.
Tensor read_decimals(InputFile& in, const Shape& shape, DType dtype, std::int64_t& entry);
/// Reads the base64 of a JSON string up to its closing quote. Throws ParseError likewise, and before it allocates
/// memory if the rest of the file cannot hold the values.
Tensor read_base64(InputFile& in, const Shape& shape, DType dtype);

/// Prints a JSON array on one line, or on lines of 8 entries (f64: 4) that begin with `indent` spaces. The number per
/// line is fixed, so that a value whose text grows changes only its own line.
void write_decimals(AtomicFile& out, const Tensor& tensor, std::size_t indent);
/// Prints a JSON string.
void write_base64(AtomicFile& out, const Tensor& tensor);

/// Ends the line and begins one with `indent` spaces.
void new_line(AtomicFile& out, std::size_t indent);

}  // namespace vg::checkpoint
