// safetensors (https://github.com/huggingface/safetensors): a JSON header followed by the tensors' bytes. Most
// published weights are in this format.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/formats/named_tensors.hpp"

namespace vg {

/// Tensors in the order of their bytes in the file, and the strings of its "__metadata__".
struct SafetensorsFile {
  NamedTensors tensors;
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Reads a safetensors file. F32, F64 and I32 are read bit for bit; F16 and BF16 become f32 (exact); BOOL, U8, I8, U16,
/// I16 and, if every value fits, U32, I64 and U64 become i32.
///
/// Throws IoError with the file and the problem, before memory is allocated for the tensor in question: a header over
/// 100 MB or longer than the file; a header that does not begin with {, is not UTF-8 JSON, or has a repeated or unknown
/// key; a shape whose product overflows or does not fit its bytes; bytes that overlap, leave holes or do not end with
/// the file; more than 8 dimensions; a type other than those above (F8, F4, complex). An empty tensor may have any
/// extents after its zero, as in the format's own package.
///
/// Memory: the tensors, at most 4 bytes per stored byte, and at most 40 bytes per byte of the header.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// Writes the same bytes as safetensors' own Python package: f64 first, then f32, then i32, each sorted by name. The
/// file appears complete or not at all. Throws ValueError for a repeated name, a name or metadata string that is not
/// UTF-8, the name "__metadata__", an undefined tensor, or a header over 100 MB; throws IoError if the file cannot be
/// written.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata = {});

}  // namespace vg
