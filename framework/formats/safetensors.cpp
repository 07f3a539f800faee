#include "voxgrad/framework/formats/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/formats/file_dtype.hpp"
#include "voxgrad/framework/formats/random_access_file.hpp"
#include "voxgrad/framework/formats/safetensors_header.hpp"
#include "voxgrad/framework/formats/tensor_files.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"

namespace vg {

namespace {

using detail::FileDType;
using detail::RandomAccessFile;
using detail::SafetensorsEntry;

constexpr std::int64_t length_bytes = 8;

struct TypeRow {
  std::string_view name;
  FileDType type;
};
constexpr TypeRow type_rows[] = {
    {"F32", FileDType::f32},   {"F64", FileDType::f64},      {"I32", FileDType::i32}, {"F16", FileDType::f16},
    {"BF16", FileDType::bf16}, {"BOOL", FileDType::boolean}, {"U8", FileDType::u8},   {"I8", FileDType::i8},
    {"U16", FileDType::u16},   {"I16", FileDType::i16},      {"U32", FileDType::u32}, {"U64", FileDType::u64},
    {"I64", FileDType::i64},
};

std::string_view name_in_file(DType dtype) { return dtype == f64 ? "F64" : dtype == f32 ? "F32" : "I32"; }

std::string tensor_name(const SafetensorsEntry& entry) { return "tensor " + in_quotes(entry.name); }

// The guess at the file's format, if it is another format than safetensors: a truncated safetensors file still looks
// like one.
std::string other_format(const RandomAccessFile& source) {
  const std::string guess = source.looks_like();
  return guess.ends_with("safetensors") ? "" : guess;
}

detail::SafetensorsHeader read_header(const RandomAccessFile& source, std::int64_t& data_begins) {
  if (source.size() < length_bytes)
    source.fail(
        fmt::format("it has {} bytes; a safetensors file begins with 8 that give its header's length", source.size()));
  std::uint64_t length = 0;
  source.read(0, &length, length_bytes, "the length of its header");
  if (length > static_cast<std::uint64_t>(detail::largest_safetensors_header))
    source.fail(fmt::format("its header would have {} bytes; at most {} are allowed (is it a safetensors file?){}",
                            length, detail::largest_safetensors_header, other_format(source)));
  const auto bytes = static_cast<std::int64_t>(length);
  if (bytes > source.size() - length_bytes)
    source.fail(fmt::format("truncated: its header would have {} bytes; {} follow{}", bytes,
                            source.size() - length_bytes, other_format(source)));
  std::string text(static_cast<std::size_t>(bytes), '\0');
  source.read(length_bytes, text.data(), bytes, "its header");
  data_begins = length_bytes + bytes;
  try {
    return detail::parse_safetensors_header(text);
  } catch (const detail::HeaderFault& e) {
    source.fail(e.what());
  }
}

FileDType file_dtype_of(const RandomAccessFile& source, const SafetensorsEntry& entry) {
  for (const TypeRow& row : type_rows)
    if (row.name == entry.dtype) return row.type;
  std::vector<std::string_view> known;
  std::transform(std::begin(type_rows), std::end(type_rows), std::back_inserter(known),
                 [](const TypeRow& row) { return row.name; });
  source.fail(fmt::format("{}: dtype {} is not read; {} are", tensor_name(entry), in_quotes(entry.dtype),
                          fmt::join(known, ", ")));
}

/// The bytes of a tensor as safetensors' own package computes them: the extents are multiplied in their order, as
/// unsigned 64-bit numbers, so that any extents may follow a zero. No value if a product exceeds 2^64 - 1, or the bytes
/// exceed 2^63 - 1.
std::optional<std::int64_t> bytes_in_file(FileDType type, const std::vector<std::int64_t>& shape) {
  std::uint64_t n = 1;
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(n, static_cast<std::uint64_t>(extent), &n)) return {};
  if (__builtin_mul_overflow(n, static_cast<std::uint64_t>(detail::size_of(type)), &n) || n > INT64_MAX) return {};
  return static_cast<std::int64_t>(n);
}

/// Throws unless the shape and type need exactly the bytes that the offsets span.
void check_size(const RandomAccessFile& source, const SafetensorsEntry& entry, FileDType type) {
  const auto [begin, end] = entry.offsets;
  if (end < begin)
    source.fail(fmt::format("{}: its data end at {}, before they begin at {}", tensor_name(entry), end, begin));
  const auto bytes = bytes_in_file(type, entry.shape);
  if (!bytes)
    source.fail(
        fmt::format("{}: shape ({}) needs more than 2^63 - 1 bytes", tensor_name(entry), fmt::join(entry.shape, ", ")));
  if (*bytes != end - begin)
    source.fail(fmt::format("{}: shape ({}) of {} needs {} bytes; its offsets {} and {} span {}", tensor_name(entry),
                            fmt::join(entry.shape, ", "), entry.dtype, *bytes, begin, end, end - begin));
}

/// Throws unless the tensors, in the order of their bytes, cover [0, bytes) once.
void check_cover(const RandomAccessFile& source, const std::vector<SafetensorsEntry>& tensors, std::int64_t bytes) {
  std::int64_t at = 0;
  for (const SafetensorsEntry& entry : tensors) {
    const auto [begin, end] = entry.offsets;
    if (begin != at)
      source.fail(fmt::format("{}: its data begin at {}, {} where those before it end, at {}", tensor_name(entry),
                              begin, begin < at ? "before" : "behind", at));
    at = end;
    if (at > bytes)
      source.fail(
          fmt::format("truncated: {} ends at {}; the file has {} bytes of data", tensor_name(entry), at, bytes));
  }
  if (at != bytes) source.fail(fmt::format("its tensors end at {}; the file has {} bytes of data", at, bytes));
}

// ------------------------------------------------------------------------------------------------------------ writing

constexpr const char* write_where = "[write_safetensors]";

std::string json_text(const std::string& text, const char* what) {
  if (!is_utf8(text))
    throw ValueError(fmt::format("{} {}: got {}, which is not UTF-8", write_where, what, in_quotes(text)));
  return nlohmann::json(text).dump();
}

/// The package's order: by type with the widest first, which aligns every tensor, then by name.
NamedTensors in_file_order(const NamedTensors& tensors) {
  NamedTensors sorted = tensors;
  const auto rank = [](const Tensor& t) { return t.dtype() == f64 ? 0 : t.dtype() == f32 ? 1 : 2; };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
    return std::pair(rank(a.second), std::string_view(a.first)) < std::pair(rank(b.second), std::string_view(b.first));
  });
  return sorted;
}

void check_names(const NamedTensors& tensors) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : tensors) {
    if (name == "__metadata__")
      throw ValueError(fmt::format(
          "{} tensors: \"__metadata__\" must not name a tensor: the format reserves it for strings", write_where));
    detail::check_written(write_where, name, tensor, names);
  }
}

std::string header_text(const NamedTensors& sorted, const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::vector<std::string> items;
  std::set<std::string_view> keys;
  std::vector<std::string> texts;
  for (const auto& [key, text] : metadata) {
    if (!keys.insert(key).second)
      throw ValueError(fmt::format("{} metadata: there are two of the key {}", write_where, in_quotes(key)));
    texts.push_back(json_text(key, "metadata") + ":" + json_text(text, "metadata"));
  }
  if (!texts.empty()) items.push_back(fmt::format("\"__metadata__\":{{{}}}", fmt::join(texts, ",")));
  std::int64_t at = 0;
  for (const auto& [name, tensor] : sorted) {
    items.push_back(fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                                json_text(name, "tensors"), name_in_file(tensor.dtype()),
                                fmt::join(tensor.shape().begin(), tensor.shape().end(), ","), at, at + tensor.bytes()));
    at += tensor.bytes();
  }
  std::string text = fmt::format("{{{}}}", fmt::join(items, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');  // align the data to 8 bytes
  if (static_cast<std::int64_t>(text.size()) > detail::largest_safetensors_header)
    throw ValueError(fmt::format("{} tensors: their header has {} bytes; the format allows {}", write_where,
                                 text.size(), detail::largest_safetensors_header));
  return text;
}

}  // namespace

SafetensorsFile detail::read_safetensors(const RandomAccessFile& source) {
  std::int64_t data = 0;
  SafetensorsHeader header = read_header(source, data);
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const auto& a, const auto& b) { return a.offsets < b.offsets; });
  std::vector<FileDType> types;
  for (const SafetensorsEntry& entry : header.tensors) {
    types.push_back(file_dtype_of(source, entry));
    check_size(source, entry, types.back());
  }
  check_cover(source, header.tensors, source.size() - data);
  SafetensorsFile file{{}, std::move(header.metadata)};
  for (std::size_t i = 0; i < types.size(); ++i) {
    const SafetensorsEntry& entry = header.tensors[i];
    std::int64_t at = data + entry.offsets[0];
    file.tensors.emplace_back(entry.name, read_stored(source, {tensor_name(entry), types[i], false, Shape(entry.shape)},
                                                      [&](void* to, std::int64_t bytes) {
                                                        source.read(at, to, bytes, "its data");
                                                        at += bytes;
                                                      }));
  }
  return file;
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  return detail::read_safetensors(RandomAccessFile("[read_safetensors]", path));
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  check_names(tensors);
  const NamedTensors sorted = in_file_order(tensors);
  const std::string header = header_text(sorted, metadata);
  const auto length = static_cast<std::uint64_t>(header.size());
  char prefix[length_bytes];
  std::memcpy(prefix, &length, length_bytes);
  AtomicFile file(write_where, path);
  file.put(std::string_view(prefix, length_bytes));
  file.put(header);
  for (const auto& [name, tensor] : sorted)
    file.put(std::string_view(static_cast<const char*>(tensor.raw()), static_cast<std::size_t>(tensor.bytes())));
  file.commit();
}

}  // namespace vg
