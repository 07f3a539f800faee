// Every way in which an npz file can be broken, by name, with the expected message.
#include <zlib.h>

#include <catch2/catch.hpp>

#include "support/broken_file.hpp"
#include "support/data_file.hpp"
#include "support/zip_by_hand.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/formats/formats.hpp"
#include "voxgrad/framework/formats/tensor_files.hpp"

using namespace vg;
using vg::test::Case;
using vg::test::check_cases;
using vg::test::put;
using vg::test::refusal;
using vg::test::TempDir;
using vg::test::Zip;

namespace {

/// A .npy file with this header text.
std::string npy(const std::string& header, const std::string& content = "", char major = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += major;
  bytes += '\0';
  for (std::size_t i = 0; i < (major == 1 ? 2u : 4u); ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + content;
}

std::string dict(const std::string& descr, const std::string& shape, const std::string& order = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

/// An archive whose only entry is this .npy file.
std::string npz(const std::string& content) { return Zip{{{"t.npy", content}}}.bytes(); }
/// An archive whose only entry has this header, followed by four bytes.
std::string headed(const std::string& header) { return npz(npy(header, std::string(4, '\0'))); }

const std::string plain = npy(dict("'<f4'", "(1,)"), std::string(4, '\0'));

std::string zip_of(Zip::Entry entry) {
  if (entry.content.empty()) entry.content = plain;
  return Zip{{std::move(entry)}}.bytes();
}

std::string deflated(const std::string& content) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  std::string out(content.size() + 100, '\0');
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

/// The plain array, deflated, with a declared size of `size` bytes and followed by `more`.
std::string packed(std::uint32_t size, const std::string& more = "", std::size_t cut = 0, bool right_crc = true) {
  const std::string stream = deflated(plain);
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(plain.data()), static_cast<uInt>(plain.size()));
  return zip_of({.name = "t.npy",
                 .content = stream.substr(0, stream.size() - cut) + more,
                 .method = 8,
                 .size = size,
                 .crc = static_cast<std::uint32_t>(right_crc ? crc : crc + 1)});
}

std::vector<Case> archive_cases() {
  const std::string good = vg::test::read_bytes(vg::test::data_file("io/numpy.npz"));
  std::string flipped = npz(plain);
  flipped[30 + 5 + plain.size() - 1] = 'x';
  std::string no_entry = npz(plain), reaching = no_entry;
  const std::size_t entry = no_entry.rfind("PK\1\2");
  no_entry[entry] = 'X';
  put(reaching, entry + 20, static_cast<std::uint32_t>(plain.size() + 1000));
  put(reaching, entry + 24, static_cast<std::uint32_t>(plain.size() + 1000));
  const std::string longer_array = npy(dict("'<f4'", "(2,)"), std::string(4, '\0'));
  const std::string short_stream = zip_of({.name = "t.npy",
                                           .content = deflated(longer_array),
                                           .method = 8,
                                           .size = static_cast<std::uint32_t>(longer_array.size() + 4)});
  Zip same{{{"a.npy", plain}, {"b.npy", plain}}};
  same.entries[1].at = 0;
  same.entries[1].local_name = "a.npy";
  same.entries[1].name = "a.npy";
  Zip twice{{{"a.npy", plain}, {"a.npy", plain}}};
  Zip many{{{"a.npy", plain}}}, few{{{"a.npy", plain}, {"b.npy", plain}}}, shifted = many, longer = many, split = many;
  many.count = 2;
  few.count = 1;
  shifted.directory_shift = 1;
  longer.directory_more = 1000000;
  split.disk = 1;
  const std::string locator = "PK\6\7" + std::string(16, '\0'), end = "PK\5\6" + std::string(18, '\0');
  const auto size = static_cast<std::uint32_t>(plain.size());
  return {
      {"empty", "", "it has 0 bytes; no zip archive is that short"},
      {"text", std::string(100, 'x'), "the record that ends it is missing"},
      {"cut", good.substr(0, good.size() - 1), "the record that ends it is missing"},
      {"half", good.substr(0, good.size() / 2), "the record that ends it is missing"},
      {"first bytes missing", good.substr(1), "its directory should be at byte"},
      {"byte behind the end", good + "x", "the record that ends it is missing"},
      {"one entry too many", many.bytes(), "its directory should have 2 entries in 51 bytes"},
      {"one entry too few", few.bytes(), "its directory has 51 bytes behind its last entry"},
      {"directory shifted", shifted.bytes(), "its directory should be at byte"},
      {"directory longer than the file", longer.bytes(), "its directory should be at byte"},
      {"split archive", split.bytes(), "a part of a split archive"},
      {"zip64 locator to nowhere", std::string(60, '\0') + locator + end, "its zip64 record is damaged"},
      {"zip64 locator behind itself",
       "PK\6\7" + std::string(4, '\0') + std::string(7, '\xff') + std::string(5, '\0') + end,
       "where no zip64 record can be"},
      {"zip64 locator of 2^64 - 1", "PK\6\7" + std::string(12, '\xff') + std::string(4, '\0') + end,
       "the size or offset 18446744073709551615"},
      {"encrypted", zip_of({.name = "t.npy", .content = {}, .flags = 1}), "entry \"t.npy\" is encrypted"},
      {"patch data", zip_of({.name = "t.npy", .content = {}, .flags = 0x20}), "has the flags 0x0020"},
      {"bzip2", zip_of({.name = "t.npy", .content = {}, .method = 12}), "packed by method 12"},
      {"size without zip64", zip_of({.name = "t.npy", .content = {}, .size = 0xffffffff}),
       "its zip64 field lacks a size"},
      {"zip64 size of 2^63",
       zip_of({.name = "t.npy",
               .content = {},
               .size = 0xffffffff,
               .extra = std::string("\1\0\x08\0\0\0\0\0\0\0\0\x80", 12)}),
       "the size or offset 9223372036854775808"},
      {"extra field cut", zip_of({.name = "t.npy", .content = {}, .extra = std::string("\1\0\x40\0", 4)}),
       "its extra field is damaged"},
      {"stored size differs", zip_of({.name = "t.npy", .content = {}, .size = 7}), "should have 7 bytes"},
      {"local header missing", zip_of({.name = "t.npy", .content = {}, .at = 3}), "the header before its data is not"},
      {"local header behind the file", zip_of({.name = "t.npy", .content = {}, .at = 1u << 30}),
       "ends within the header of an entry"},
      {"local name differs", zip_of({.name = "t.npy", .content = {}, .local_name = "u.npy"}),
       "the header before its data is not"},
      {"name in no encoding", zip_of({.name = "\xfc.npy", .content = {}}), "its name is neither ASCII nor UTF-8"},
      {"name with a zero byte", zip_of({.name = std::string("t\0.npy", 6), .content = {}, .flags = 0x800}),
       "neither ASCII nor UTF-8"},
      {"two of a name", twice.bytes(), "two entries are named \"a.npy\""},
      {"entries overlap", same.bytes(), "entries \"a.npy\" and \"a.npy\" overlap"},
      {"no array", zip_of({.name = "readme.txt", .content = {}}), "\"readme.txt\" is not an array"},
      {"checksum wrong", flipped, "damaged: the checksum of its data is"},
      {"bomb", packed(1u << 30), "but its "},
      {"deflated size too large", packed(size + 1), "needs 4 bytes; 5 follow its header"},
      {"deflated size too small", packed(size - 1), "needs 4 bytes; 3 follow its header"},
      {"deflated checksum wrong", packed(size, "", 0, false), "damaged: the checksum of its data is"},
      {"deflate stream cut", packed(size, "", 8), "its deflate stream is cut"},
      {"bytes behind the deflate stream", packed(size, "more"), "bytes follow its deflate stream"},
      {"deflate stream ends early", short_stream, "its deflate stream ends too early, 4 bytes before"},
      {"directory damaged", no_entry, "its directory is damaged at byte"},
      {"data reach into the directory", reaching, "reach into the directory"},
      {"name of bad UTF-8", zip_of({.name = "\xe2\x82\x28.npy", .content = {}, .flags = 0x800}),
       "neither ASCII nor UTF-8"},
      {"no deflate stream", zip_of({.name = "t.npy", .content = std::string(80, '\xff'), .method = 8, .size = 64}),
       "damaged deflate stream: invalid block type"},
  };
}

std::vector<Case> npy_cases() {
  std::string version = plain, minor = plain;
  version[6] = 4;
  minor[7] = 1;
  return {
      {"empty entry", npz(""), "it is too short for a .npy file"},
      {"no magic", npz("\x93NUMPX" + plain.substr(6)), "its magic is missing"},
      {"version 4", npz(version), "its .npy version is 4.0"},
      {"version 1.1", npz(minor), "its .npy version is 1.1"},
      {"version 2 cut", npz(npy("", "", 2).substr(0, 11)), "it is too short for a .npy file"},
      {"header behind the entry", npz(plain.substr(0, 20)), "its header would have 58 bytes; 10 follow"},
      {"header of 4 GB", npz(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff", 12)), "would have 4294967295 bytes"},
      {"no dict", headed("[]\n"), "got \"[]\\x0a\"; a dict is expected"},
      {"no newline", headed("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"), "one newline may follow"},
      {"text behind the dict", headed(dict("'<f4'", "(1,)") + "x\n"), "one newline may follow"},
      {"key missing", headed("{'descr': '<f4', 'fortran_order': False, }\n"), "the key 'shape' is missing"},
      {"key twice", headed("{'descr': '<f4', 'descr': '<f4', }\n"), "the key 'descr' appears twice"},
      {"unknown key", headed("{'strides': (1,), }\n"), "got the key \"strides\""},
      {"no comma", headed("{'descr': '<f4' 'shape': (1,)}\n"), "a comma or the end of the dict is expected"},
      {"no colon", headed("{'descr', '<f4'}\n"), "a colon is expected"},
      {"escape in a text", headed("{'descr': '\\x3cf4'}\n"), "does not end, or has escapes"},
      {"text without an end", headed("{'descr"), "does not end, or has escapes"},
      {"pickled objects", headed(dict("'|O'", "(1,)")), "pickled Python objects are never read"},
      {"records", headed(dict("[('x', '<f4')]", "(1,)")), "arrays of records are not read"},
      {"complex", headed(dict("'<c8'", "(1,)")), "'descr' is \"<c8\"; f2, f4, f8"},
      {"text elements", headed(dict("'<U1'", "(1,)")), "'descr' is \"<U1\""},
      {"long double", headed(dict("'<f16'", "(1,)")), "'descr' is \"<f16\""},
      {"no byte order", headed(dict("'f4'", "(1,)")), "it must begin with the byte order"},
      {"byte order lost", headed(dict("'|f4'", "(1,)")), "\"|f4\", without a byte order"},
      {"descr is code", headed(dict("__import__('os')", "(1,)")), "a string is expected"},
      {"order is a number", headed(dict("'<f4'", "(1,)", "0")), "it must be True or False"},
      {"shape is a list", headed(dict("'<f4'", "[1]")), "a tuple is expected"},
      {"shape in brackets", headed(dict("'<f4'", "(1)")), "a tuple of one has a comma"},
      {"shape is negative", headed(dict("'<f4'", "(-1,)")), "'shape' has \"-1,)"},
      {"shape is a real", headed(dict("'<f4'", "(1.0,)")), "a comma or ) is expected"},
      {"shape with a leading zero", headed(dict("'<f4'", "(01,)")), "'shape' has \"01,)"},
      {"shape of 2^63", headed(dict("'<f4'", "(9223372036854775808,)")), "whole numbers from 0 to 2^63 - 1"},
      {"shape without commas", headed(dict("'<f4'", "(1 1)")), "a comma or ) is expected"},
      {"shape with two commas", headed(dict("'<f4'", "(1,,)")), "whole numbers from 0"},
      {"shape overflows", headed(dict("'<f4'", "(4294967296, 4294967296)")), "more than 2^63 - 1 bytes"},
      {"shape overflows beside a zero", headed(dict("'<f4'", "(4294967296, 4294967296, 0)")),
       "more than 2^63 - 1 bytes"},
      {"shape of 2^62 bytes", headed(dict("'<f4'", "(1152921504606846976,)")),
       "needs 4611686018427387904 bytes; 4 follow"},
      {"nine dimensions", headed(dict("'<f4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)")), "more than 8 dimensions"},
      {"data cut", headed(dict("'<f4'", "(2,)")), "shape (2,) needs 8 bytes; 4 follow its header"},
      {"data too long", npz(npy(dict("'<f4'", "()"), std::string(5, '\0'))),
       "shape () needs 4 bytes; 5 follow its header"},
      {"empty but followed", headed(dict("'<f4'", "(0,)")), "shape (0,) needs 0 bytes; 4 follow"},
      {"i8 over i32", npz(npy(dict("'<i8'", "(1,)"), std::string("\0\0\0\x80\0\0\0\0", 8))), "element 0 is 2147483648"},
      {"u4 over i32, big-endian", npz(npy(dict("'>u4'", "(1,)"), std::string("\x80\0\0\1", 4))),
       "element 0 is 2147483649"},
  };
}

}  // namespace

TEST_CASE("npz: malformed archives and arrays", "[io][malformed]") {
  const TempDir dir;
  const auto refused = [&](const std::string& bytes) {
    return refusal(
        bytes, dir, [](const detail::RandomAccessFile& s) { detail::read_npz(s); },
        [](const std::filesystem::path& p) { read_npz(p); });
  };
  SECTION("archive") { check_cases(archive_cases(), refused, "[read_npz]"); }
  SECTION("array") { check_cases(npy_cases(), refused, "[read_npz]"); }
}

TEST_CASE("npz: missing files and paths that are no files", "[io][malformed]") {
  const TempDir dir;
  using Catch::Contains;
  CHECK_THROWS_WITH(read_npz(dir / "none"), Contains("[read_npz]") && Contains("none: there is no such file"));
  CHECK_THROWS_WITH(read_npz(dir.path()), Contains("not a regular file"));
}

TEST_CASE("npz: declared sizes allocate no memory", "[io][malformed]") {
  const std::int64_t before = (memory::reset_peak(), memory::stats().in_use);
  for (const std::string& bytes : {headed(dict("'<f4'", "(4611686018,)")), packed(1u << 30)}) {
    const detail::RandomAccessFile source("[memory]", "broken",
                                          {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
    CHECK_THROWS_AS(detail::read_npz(source), IoError);
  }
  CHECK(memory::stats().peak - before < 4096);
}
