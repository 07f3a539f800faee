// Every way in which a safetensors file can be broken, by name, with the expected message.
#include <catch2/catch.hpp>

#include "support/broken_file.hpp"
#include "support/data_file.hpp"
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

namespace {

std::string safetensors(const std::string& header, const std::string& content = "") {
  std::string bytes(8, '\0');
  put(bytes, 0, static_cast<std::uint64_t>(header.size()));
  return bytes + header + content;
}

/// A file with one tensor "t" of this dtype, shape and offsets, followed by `content`.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                const std::string& content) {
  return safetensors("{\"t\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}",
                     content);
}

/// A file with two f32 tensors of one element, a and b, at these offsets, followed by 8 bytes.
std::string two(const std::string& a, const std::string& b) {
  return safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + a +
                         R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + b + "}}",
                     std::string(8, '\0'));
}

std::vector<Case> safetensors_cases() {
  const std::string four(4, '\0'), good = vg::test::read_bytes(vg::test::data_file("io/package.safetensors"));
  std::string trailing = good + "x";
  const std::string nul = std::string("{}") + '\0';
  const std::string deep(5000, '[');
  return {
      {"empty", "", "it has 0 bytes"},
      {"seven bytes", std::string(7, '\0'), "it has 7 bytes"},
      {"no header", std::string(8, '\0'), "its header begins with \"\""},
      {"header over 100 MB", std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10), "would have 100000001 bytes"},
      {"header of 2^64 - 1", std::string(8, '\xff') + "{}", "would have 18446744073709551615 bytes"},
      {"text file", "This is no file of weights at all.", "is it a safetensors file?"},
      {"header longer than the file", good.substr(0, 200), "truncated: its header would have 368 bytes; 192 follow"},
      {"header begins with a space", safetensors(" {}"), "it must begin with {"},
      {"header is a list", safetensors("[]"), "it must begin with {"},
      {"header is not JSON", safetensors("{a}"), "its header is not JSON: at byte 2"},
      {"header ends early", safetensors(R"({"t":{"dtype")"), "its header is not JSON"},
      {"something behind the object", safetensors("{} {}"), "its header is not JSON"},
      {"zero byte as padding", safetensors(nul), "it has a zero byte"},
      {"not UTF-8", safetensors("{\"\xff\":1}"), "ill-formed UTF-8"},
      {"lone surrogate", safetensors(R"({"\ud800":1})"), "surrogate"},
      {"tensor twice", two("[0,4]", "[4,8]").replace(8 + 55, 1, "a"), "has the key \"a\" twice"},
      {"metadata twice", safetensors(R"({"__metadata__":{},"__metadata__":{}})"), "has the key \"__metadata__\" twice"},
      {"metadata key twice", safetensors(R"({"__metadata__":{"k":"","k":""}})"),
       "\"__metadata__\" has the key \"k\" twice"},
      {"metadata is a list", safetensors(R"({"__metadata__":[]})"), "has a list for \"__metadata__\""},
      {"metadata is null", safetensors(R"({"__metadata__":null})"), "has null for \"__metadata__\""},
      {"metadata of a number", safetensors(R"({"__metadata__":{"k":1}})"),
       "\"__metadata__\" has 1 for \"k\"; it must be a string"},
      {"metadata of objects", safetensors(R"({"__metadata__":{"k":{}}})"), "has an object for \"k\""},
      {"tensor is a number", safetensors(R"({"t":1})"), "its header has 1 for \"t\""},
      {"tensor is true", safetensors(R"({"t":true})"), "its header has true for \"t\""},
      {"tensor is a text", safetensors(R"({"t":"F32"})"), "its header has \"F32\" for \"t\""},
      {"deep lists", safetensors("{\"t\":" + deep), "has a list for \"t\""},
      {"deep shape", safetensors("{\"t\":{\"shape\":" + deep), "tensor \"t\": \"shape\" has the entry a list"},
      {"unknown key", safetensors(R"({"t":{"strides":[1]}})"), "tensor \"t\": has the key \"strides\""},
      {"dtype twice", safetensors(R"({"t":{"dtype":"F32","dtype":"F32"}})"), "has the key \"dtype\" twice"},
      {"dtype is a number", safetensors(R"({"t":{"dtype":32}})"), "\"dtype\" is 32; it must be a string"},
      {"dtype is missing", safetensors(R"({"t":{"shape":[],"data_offsets":[0,4]}})", four), "\"dtype\" is missing"},
      {"shape is missing", safetensors(R"({"t":{"dtype":"F32","data_offsets":[0,4]}})", four), "\"shape\" is missing"},
      {"offsets are missing", safetensors(R"({"t":{"dtype":"F32","shape":[]}})", four), "\"data_offsets\" is missing"},
      {"shape is a number", safetensors(R"({"t":{"shape":1}})"), "\"shape\" is 1; it must be a list"},
      {"shape is negative", one("F32", "[-1]", "[0,4]", four), "\"shape\" has the entry -1"},
      {"shape is a real", one("F32", "[1.5]", "[0,4]", four), "\"shape\" has the entry 1.5"},
      {"shape is 2^63", one("F32", "[9223372036854775808]", "[0,4]", four), "the entry 9223372036854775808"},
      {"shape is 2^64", one("F32", "[18446744073709551616]", "[0,4]", four), "the entry 18446744073709551616"},
      {"shape overflows", one("F32", "[4294967296,4294967296]", "[0,4]", four), "more than 2^63 - 1 bytes"},
      {"shape overflows before a zero", one("F32", "[4294967296,4294967296,0]", "[0,0]", ""),
       "more than 2^63 - 1 bytes"},
      {"shape overflows by its type", one("F64", "[1152921504606846976]", "[0,8]", four + four),
       "more than 2^63 - 1 bytes"},
      {"shape wraps to the right size", one("F32", "[4611686018427387905]", "[0,4]", four), "more than 2^63 - 1 bytes"},
      {"nine dimensions", one("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]", four), "more than 8 dimensions"},
      {"one offset", one("F32", "[1]", "[0]", four), "does not have two entries"},
      {"three offsets", one("F32", "[1]", "[0,4,8]", four), "more than two entries"},
      {"negative offset", one("F32", "[1]", "[-4,0]", four), "has the entry -4"},
      {"offsets reversed", one("F32", "[1]", "[4,0]", four), "end at 0, before they begin at 4"},
      {"shape does not fit", one("F32", "[2]", "[0,4]", four),
       "shape (2) of F32 needs 8 bytes; its offsets 0 and 4 span 4"},
      {"type does not fit", one("F64", "[1]", "[0,4]", four), "shape (1) of F64 needs 8 bytes"},
      {"scalar does not fit", one("F32", "[]", "[0,0]", ""), "shape () of F32 needs 4 bytes"},
      {"overlap", two("[0,4]", "[2,6]"), "tensor \"b\": its data begin at 2, before where those before it end, at 4"},
      {"the same bytes twice", two("[0,4]", "[0,4]"), "before where those before it end"},
      {"hole", two("[0,4]", "[5,9]"), "its data begin at 5, behind where those before it end, at 4"},
      {"hole at the begin", one("F32", "[1]", "[1,5]", four + "x"), "its data begin at 1, behind"},
      {"data cut", good.substr(0, good.size() - 1), "truncated: tensor"},
      {"data of 2^63 - 1 bytes", one("U8", "[9223372036854775807]", "[0,9223372036854775807]", ""),
       "truncated: tensor \"t\""},
      {"a byte behind the data", trailing, "the file has 61 bytes of data"},
      {"data without a tensor", safetensors("{}", "x"), "its tensors end at 0; the file has 1 bytes"},
      {"unknown dtype", one("F7", "[1]", "[0,4]", four), "dtype \"F7\" is not read; F32, F64, I32"},
      {"f8", one("F8_E4M3", "[4]", "[0,4]", four), "dtype \"F8_E4M3\" is not read"},
      {"complex", one("C64", "[1]", "[0,8]", four + four), "dtype \"C64\" is not read"},
      {"u32 over i32", one("U32", "[1]", "[0,4]", std::string("\0\0\0\x80", 4)),
       "element 0 is 2147483648; integers are read as i32"},
      {"i64 under i32", one("I64", "[1]", "[0,8]", std::string("\xff\xff\xff\x7f\xff\xff\xff\xff", 8)),
       "element 0 is -2147483649"},
      {"boolean of 2", one("BOOL", "[3]", "[0,3]", std::string("\0\1\2", 3)), "element 2 is 2; a boolean is 0 or 1"},
  };
}

}  // namespace

TEST_CASE("safetensors: malformed files", "[io][malformed]") {
  const TempDir dir;
  check_cases(
      safetensors_cases(),
      [&](const std::string& bytes) {
        return refusal(
            bytes, dir, [](const detail::RandomAccessFile& s) { detail::read_safetensors(s); },
            [](const std::filesystem::path& p) { read_safetensors(p); });
      },
      "[read_safetensors]");
}

TEST_CASE("safetensors: missing files and paths that are no files", "[io][malformed]") {
  const TempDir dir;
  using Catch::Contains;
  CHECK_THROWS_WITH(read_safetensors(dir / "none"),
                    Contains("[read_safetensors]") && Contains("none: there is no such file"));
  CHECK_THROWS_WITH(read_safetensors(dir.path()), Contains("not a regular file"));
}

// As in the package of the format, which multiplies the extents in order, so those after a zero do not matter.
TEST_CASE("safetensors: an empty tensor of any other extents", "[io]") {
  const TempDir dir;
  for (const char* shape : {"[0,4611686018427387904]", "[0,4294967296,4294967296]", "[4611686018427387904,3,0]"}) {
    const SafetensorsFile file = read_safetensors(dir.write("empty", one("F32", shape, "[0,0]", "")));
    REQUIRE(file.tensors.size() == 1);
    CHECK(file.tensors[0].second.numel() == 0);
    CHECK(file.tensors[0].second.shape()[0] == (shape[1] == '0' ? 0 : std::int64_t{1} << 62));
  }
}

TEST_CASE("safetensors: declared sizes allocate no memory", "[io][malformed]") {
  const std::int64_t before = (memory::reset_peak(), memory::stats().in_use);
  for (const std::string& bytes : {one("F32", "[4611686018]", "[0,18446744072]", ""),
                                   one("U8", "[9000000000000000000]", "[0,9000000000000000000]", "")}) {
    const detail::RandomAccessFile source("[memory]", "broken",
                                          {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
    CHECK_THROWS_AS(detail::read_safetensors(source), IoError);
  }
  CHECK(memory::stats().peak - before < 4096);
}
