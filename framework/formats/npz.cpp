#include "voxgrad/framework/formats/npz.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/formats/claimed_bytes.hpp"
#include "voxgrad/framework/formats/file_dtype.hpp"
#include "voxgrad/framework/formats/npy_header.hpp"
#include "voxgrad/framework/formats/random_access_file.hpp"
#include "voxgrad/framework/formats/tensor_files.hpp"
#include "voxgrad/framework/formats/zip.hpp"
#include "voxgrad/framework/ops/detail/strided.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"

namespace vg {

namespace {

using detail::NpyHeader;
using detail::RandomAccessFile;
using detail::StoredTensor;
using detail::ZipEntry;
using detail::ZipStream;

constexpr std::string_view suffix = ".npy";
constexpr const char* where_written = "[write_npz]";

NpyHeader read_header(ZipStream& stream) {
  std::array<char, detail::npy_prefix_bytes> prefix{};
  if (stream.left() < static_cast<std::int64_t>(prefix.size()))
    throw detail::NpyFault("it is too short for a .npy file");
  stream.read(prefix.data(), static_cast<std::int64_t>(prefix.size()));
  const std::size_t length_bytes = detail::npy_length_bytes({prefix.data(), prefix.size()});
  std::array<unsigned char, 4> raw{static_cast<unsigned char>(prefix[8]), static_cast<unsigned char>(prefix[9]), 0, 0};
  if (length_bytes == 4) {
    if (stream.left() < 2) throw detail::NpyFault("it is too short for a .npy file");
    stream.read(raw.data() + 2, 2);
  }
  const std::int64_t length =
      raw[0] | raw[1] << 8 | static_cast<std::int64_t>(raw[2]) << 16 | static_cast<std::int64_t>(raw[3]) << 24;
  if (length > detail::longest_npy_header || length > stream.left())
    throw detail::NpyFault(fmt::format("its header would have {} bytes; {} follow, and at most {} are allowed", length,
                                       stream.left(), detail::longest_npy_header));
  std::string text(static_cast<std::size_t>(length), '\0');
  stream.read(text.data(), length);
  return detail::parse_npy_header(text);
}

/// Reverses the axes of a tensor: out(i, j, k) = t(k, j, i).
Tensor reverse_axes(const Tensor& t, const Shape& shape) {
  Tensor out(shape, t.dtype());
  detail::Strides strides = detail::contiguous_strides(t.shape());
  std::reverse(strides.begin(), strides.begin() + static_cast<std::ptrdiff_t>(shape.size()));
  detail::copy_strided(t.dtype(), shape, out.raw(), 0, detail::contiguous_strides(shape), t.raw(), 0, strides);
  return out;
}

Tensor read_data(const RandomAccessFile& source, const std::string& name, const NpyHeader& header,
                 detail::ClaimedBytes& data) {
  const auto next = [&](void* to, std::int64_t bytes) { data.read(to, bytes); };
  if (!header.fortran_order) return read_stored(source, {name, header.type, header.swapped, header.shape}, next);
  std::vector<std::int64_t> extents = header.shape.vec();
  std::reverse(extents.begin(), extents.end());
  const StoredTensor reversed{name, header.type, header.swapped, Shape(extents)};
  return reverse_axes(read_stored(source, reversed, next), header.shape);
}

Tensor read_entry(const RandomAccessFile& source, const ZipEntry& entry) {
  const std::string name = "entry " + in_quotes(entry.name);
  ZipStream stream(source, entry);
  NpyHeader header;
  try {
    header = read_header(stream);
  } catch (const detail::NpyFault& e) {
    source.fail(fmt::format("{}: {}", name, e.what()));
  }
  if (header.bytes != stream.left())
    source.fail(fmt::format("{}: shape {} needs {} bytes; {} follow its header", name, header.shape.str(), header.bytes,
                            stream.left()));
  detail::ClaimedBytes data([&](void* to, std::int64_t bytes) { stream.read(to, bytes); },
                            entry.deflated ? header.bytes : 0);
  Tensor tensor = read_data(source, name, header, data);
  stream.finish();
  return tensor;
}

/// Whether a program that unpacks the archive would, or might, write the entry outside its folder.
bool leads_out(std::string_view name) {
  const bool drive = name.size() > 2 && name[1] == ':' && name[2] == '/';
  return name.starts_with('/') || drive || name.starts_with("../") || name.find("/../") != name.npos ||
         name.find('\\') != name.npos;
}

void check_name(const std::string& name, const Tensor& tensor, std::set<std::string_view>& names) {
  if (name.empty() || name.size() > 65000 || name.find('\0') != std::string::npos || !is_utf8(name))
    throw ValueError(fmt::format("{} tensors: got the name {}; it must be UTF-8 of 1 to 65000 bytes, none of them zero",
                                 where_written, in_quotes(name)));
  // Such a name is refused rather than changed: two names could become one, and readers look for the original name.
  if (leads_out(name))
    throw ValueError(
        fmt::format("{} tensors: got the name {}, which leads out of the folder that the archive is unpacked into; it "
                    "must not begin with / or a drive (C:/), have .. before a slash, or a backslash",
                    where_written, in_quotes(name)));
  detail::check_written(where_written, name, tensor, names);
}

}  // namespace

NamedTensors detail::read_npz(const RandomAccessFile& source) {
  NamedTensors tensors;
  const std::vector<ZipEntry> entries = read_zip_directory(source);
  std::set<std::string_view> names;
  for (const ZipEntry& entry : entries) {
    if (!names.insert(entry.name).second) source.fail(fmt::format("two entries are named {}", in_quotes(entry.name)));
    if (!entry.name.ends_with(suffix))
      source.fail(fmt::format("entry {} is not an array: its name does not end in .npy{}", in_quotes(entry.name),
                              source.looks_like()));
  }
  for (const ZipEntry& entry : entries)
    tensors.emplace_back(entry.name.substr(0, entry.name.size() - suffix.size()), read_entry(source, entry));
  return tensors;
}

NamedTensors read_npz(const std::filesystem::path& path) {
  return detail::read_npz(RandomAccessFile("[read_npz]", path));
}

void write_npz(const std::filesystem::path& path, const NamedTensors& tensors, const NpzOptions& options) {
  std::set<std::string_view> names;
  for (const auto& [name, tensor] : tensors) check_name(name, tensor, names);
  AtomicFile file(where_written, path);
  detail::ZipWriter zip(file, options.compress);
  for (const auto& [name, tensor] : tensors) {
    const std::string header = detail::make_npy_header(tensor);
    const auto bytes = static_cast<std::size_t>(tensor.bytes());
    zip.add(name + std::string(suffix), {header, {static_cast<const char*>(tensor.raw()), bytes}});
  }
  zip.finish();
  file.commit();
}

}  // namespace vg
