// safetensors (https://github.com/huggingface/safetensors): a JSON header, then the tensors' bytes. The format in which
// most published weights come.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/formats/named_tensors.hpp"

namespace vg {

/// Tensors in the order of their bytes in the file, and the texts of its "__metadata__".
struct SafetensorsFile {
  NamedTensors tensors;
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Reads a safetensors file. F32, F64 and I32 come bit for bit; F16 and BF16 become f32 (exact); BOOL, U8, I8, U16, I16
/// and, where every value fits, U32, I64 and U64 become i32.
///
/// Throws IoError naming the file and what is wrong, before memory is taken for the tensor in question: a header over
/// 100 MB or longer than the file, one that does not begin with {, is not UTF-8 JSON, or has a key twice or one that
/// the format does not know; a shape whose product overflows or that does not fit its bytes; bytes that overlap, leave
/// holes or do not end with the file; more than 8 dimensions; a type other than those above (F8, F4, complex).
/// An empty tensor may have any extents behind its zero, as in the format's own package.
///
/// Memory: the tensors, at most 4 bytes for each stored one, and at most 40 bytes for each byte of the header.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// Writes the bytes that safetensors' own Python package writes: f64 first, then f32, then i32, by name within each.
/// The file appears whole or not at all. Throws ValueError for a name twice, a name or metadata text that is not UTF-8,
/// the name "__metadata__", an undefined tensor, or a header over 100 MB; IoError when the file cannot be written.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata = {});

}  // namespace vg
