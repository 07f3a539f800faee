// Finds and checks the directory of a zip archive: every field is compared with the file before it is used.
#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/formats/file_dtype.hpp"
#include "voxgrad/framework/formats/zip.hpp"

namespace vg::detail {

namespace {

constexpr std::int64_t end_bytes = 22, locator_bytes = 20, end64_bytes = 56, central_bytes = 46, local_bytes = 30;
constexpr std::int64_t deflate_limit = 1032;  // deflate never expands more than this

template <class T>
T load(const std::string& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}
std::int64_t load16(const std::string& b, std::size_t at) { return load<std::uint16_t>(b, at); }
std::int64_t load32(const std::string& b, std::size_t at) { return load<std::uint32_t>(b, at); }

std::string piece(const RandomAccessFile& source, std::int64_t at, std::int64_t bytes, const char* what) {
  std::string out(static_cast<std::size_t>(bytes), '\0');
  source.read(at, out.data(), bytes, what);
  return out;
}

/// Loads a 64-bit field. Throws if it exceeds 2^63 - 1.
std::int64_t load64(const RandomAccessFile& source, const std::string& b, std::size_t at) {
  const auto value = load<std::uint64_t>(b, at);
  if (value > INT64_MAX) source.fail(fmt::format("its zip64 records have the size or offset {}", value));
  return static_cast<std::int64_t>(value);
}

struct Directory {
  std::int64_t at = 0, bytes = 0, entries = 0;
  std::int64_t ends = 0;  ///< the offset of the first record behind the directory
};

/// Finds the last record of the file, behind which only its own comment may follow.
std::int64_t find_end(const RandomAccessFile& source) {
  const std::int64_t window = std::min<std::int64_t>(source.size(), end_bytes + 65535);
  const std::string tail = piece(source, source.size() - window, window, "its end");
  for (std::int64_t i = window - end_bytes; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    if (load<std::uint32_t>(tail, at) == 0x06054b50 && load16(tail, at + 20) == window - i - end_bytes)
      return source.size() - window + i;
  }
  source.fail("no zip archive, or a truncated one: the record that ends it is missing" + source.looks_like());
}

void read_end64(const RandomAccessFile& source, std::int64_t locator_at, Directory& d) {
  const std::string locator = piece(source, locator_at, locator_bytes, "its zip64 locator");
  const std::int64_t at = load64(source, locator, 8);
  if (at > locator_at - end64_bytes)
    source.fail(fmt::format("its zip64 locator points to byte {}, where no zip64 record can be", at));
  const std::string end = piece(source, at, end64_bytes, "its zip64 record");
  if (load<std::uint32_t>(end, 0) != 0x06064b50 || load64(source, end, 4) != locator_at - at - 12)
    source.fail("its zip64 record is damaged");
  if (load32(end, 16) != 0 || load32(end, 20) != 0 || load64(source, end, 24) != load64(source, end, 32))
    source.fail("a part of a split archive");
  d = {load64(source, end, 48), load64(source, end, 40), load64(source, end, 32), at};
}

Directory find_directory(const RandomAccessFile& source) {
  if (source.size() < end_bytes)
    source.fail(fmt::format("it has {} bytes; no zip archive is that short", source.size()));
  const std::int64_t at = find_end(source);
  const std::string end = piece(source, at, end_bytes, "its end");
  Directory d{load32(end, 16), load32(end, 12), load16(end, 10), at};
  const bool locator = at >= locator_bytes && load32(piece(source, at - locator_bytes, 4, "its end"), 0) == 0x07064b50;
  if (locator)
    read_end64(source, at - locator_bytes, d);
  else if (load16(end, 4) != 0 || load16(end, 6) != 0 || load16(end, 8) != d.entries)
    source.fail("a part of a split archive");
  if (d.bytes > d.ends || d.at != d.ends - d.bytes)
    source.fail(
        fmt::format("its directory should be at byte {} with {} bytes, and end at byte {}", d.at, d.bytes, d.ends));
  if (d.entries > d.bytes / central_bytes)
    source.fail(fmt::format("its directory should have {} entries in {} bytes", d.entries, d.bytes));
  return d;
}

/// The values of the zip64 extra field. In order, they replace the fields that are all ones.
class Extra64 {
 public:
  Extra64(const RandomAccessFile& source, const std::string& extra, const std::string& name)
      : source_(source), name_(name) {
    for (std::size_t at = 0; extra.size() - at >= 4;) {
      const auto length = static_cast<std::size_t>(load16(extra, at + 2));
      if (length > extra.size() - at - 4) source.fail(fmt::format("entry {}: its extra field is damaged", name));
      if (load16(extra, at) == 1) values_ = extra.substr(at + 4, length);
      at += 4 + length;
    }
  }
  std::int64_t wide(std::int64_t value) {
    if (value != 0xffffffff) return value;
    if (values_.size() - next_ < 8)
      source_.fail(fmt::format("entry {}: its zip64 field lacks a size or offset", name_));
    next_ += 8;
    return load64(source_, values_, next_ - 8);
  }

 private:
  const RandomAccessFile& source_;
  const std::string& name_;
  std::string values_;
  std::size_t next_ = 0;
};

void check_flags(const RandomAccessFile& source, const std::string& name, std::int64_t flags, std::int64_t method) {
  constexpr std::int64_t harmless = 0x0002 | 0x0004 | 0x0008 | 0x0800;  // deflate's effort, sizes after the data, UTF-8
  if (flags & 1) source.fail(fmt::format("entry {} is encrypted", name));
  if (flags & ~harmless) source.fail(fmt::format("entry {} has the flags 0x{:04x}, which are not read", name, flags));
  if (method != 0 && method != 8)
    source.fail(fmt::format("entry {} is packed by method {}; stored (0) and deflated (8) are read", name, method));
}

/// Compares an entry with the header before its data, and computes the offset of the data.
void check_local(const RandomAccessFile& source, const std::string& central, std::int64_t header_at, ZipEntry& entry) {
  const std::string name = in_quotes(entry.name);
  const std::string local = piece(source, header_at, local_bytes, "the header of an entry");
  const std::int64_t name_bytes = load16(local, 26);
  if (load<std::uint32_t>(local, 0) != 0x04034b50 || local.substr(6, 4) != central.substr(8, 4) ||
      name_bytes != static_cast<std::int64_t>(entry.name.size()) ||
      piece(source, header_at + local_bytes, name_bytes, "the name of an entry") != entry.name)
    source.fail(fmt::format("entry {}: the header before its data is not what the directory says", name));
  const bool sizes_behind = (load16(local, 6) & 8) != 0;
  if (!sizes_behind && load<std::uint32_t>(local, 14) != entry.crc)
    source.fail(fmt::format("entry {}: the checksum before its data is not what the directory says", name));
  entry.at = header_at + local_bytes + name_bytes + load16(local, 28);
}

struct Place {
  std::int64_t begin, end;
  std::size_t entry;
};

/// Reads the entry whose directory record is at `at`, and moves `at` behind it.
ZipEntry read_entry(const RandomAccessFile& source, const Directory& d, std::int64_t& at, Place& place) {
  if (d.ends - at < central_bytes) source.fail("its directory ends within an entry");
  const std::string central = piece(source, at, central_bytes, "its directory");
  const std::int64_t name_bytes = load16(central, 28), extra_bytes = load16(central, 30);
  const std::int64_t all = central_bytes + name_bytes + extra_bytes + load16(central, 32);
  if (load<std::uint32_t>(central, 0) != 0x02014b50 || all > d.ends - at)
    source.fail(fmt::format("its directory is damaged at byte {}", at));
  ZipEntry entry;
  entry.name = piece(source, at + central_bytes, name_bytes, "its directory");
  const std::string name = in_quotes(entry.name);
  const bool ascii = std::all_of(entry.name.begin(), entry.name.end(), [](char c) { return c > 0; });
  const std::int64_t flags = load16(central, 8);
  if (!ascii && ((flags & 0x0800) == 0 || !is_utf8(entry.name) || entry.name.find('\0') != std::string::npos))
    source.fail(fmt::format("entry {}: its name is neither ASCII nor UTF-8", name));
  check_flags(source, name, flags, load16(central, 10));
  entry.deflated = load16(central, 10) == 8;
  entry.crc = load<std::uint32_t>(central, 16);
  const std::string extra = piece(source, at + central_bytes + name_bytes, extra_bytes, "its directory");
  Extra64 extra64(source, extra, name);
  entry.size = extra64.wide(load32(central, 24));
  entry.packed = extra64.wide(load32(central, 20));
  place.begin = extra64.wide(load32(central, 42));
  check_local(source, central, place.begin, entry);
  if (entry.packed > d.at - entry.at)
    source.fail(
        fmt::format("entry {}: its {} bytes at byte {} reach into the directory", name, entry.packed, entry.at));
  place.end = entry.at + entry.packed;
  const std::int64_t most = entry.deflated ? entry.packed * deflate_limit : entry.packed;
  if (entry.size > most || (!entry.deflated && entry.size != entry.packed))
    source.fail(fmt::format("entry {} should have {} bytes, but its {} packed ones hold {}{}", name, entry.size,
                            entry.packed, entry.deflated ? "at most " : "", most));
  at += all;
  return entry;
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(const RandomAccessFile& source) {
  const Directory d = find_directory(source);
  std::vector<ZipEntry> entries;
  std::vector<Place> places;
  std::int64_t at = d.at;
  for (std::int64_t i = 0; i < d.entries; ++i) {
    Place place{0, 0, entries.size()};
    entries.push_back(read_entry(source, d, at, place));
    places.push_back(place);
  }
  if (at != d.ends) source.fail(fmt::format("its directory has {} bytes behind its last entry", d.ends - at));
  // Entries must not overlap, because archives that unpack the same bytes many times are zip bombs.
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < places.size(); ++i)
    if (places[i].begin < places[i - 1].end)
      source.fail(fmt::format("entries {} and {} overlap", in_quotes(entries[places[i - 1].entry].name),
                              in_quotes(entries[places[i].entry].name)));
  return entries;
}

}  // namespace vg::detail
