// safetensors and npz: files of numpy and of the package safetensors, byte-exact writing, round trips.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "support/data_file.hpp"
#include "support/plain.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/formats/formats.hpp"
#include "voxgrad/framework/formats/tensor_files.hpp"
#include "voxgrad/framework/formats/zip.hpp"

using vg::test::data_file;
using vg::test::read_bytes;
using vg::test::TempDir;
using namespace vg;
using vg::test::same_bits;

namespace {

const float inf = std::numeric_limits<float>::infinity();
const float nan = std::bit_cast<float>(0x7fc00000);

/// The tensors that make.py writes.
NamedTensors package_tensors() {
  return {{"b.weight", Tensor::of<float>({2, 3}, {1.5f, -0.0f, inf, nan, 1e-42f, 3.4028235e38f})},
          {"a/\u00fc", Tensor::of<double>({3}, {0.1, -2.5e-308, 5e-324})},
          {"c \"quoted\"\n", Tensor::of<std::int32_t>({1, 2, 1}, {INT32_MIN, INT32_MAX})},
          {"scalar", Tensor::scalar(7)},
          {"empty", Tensor::zeros({0, 3})}};
}

const Tensor& find(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return tensor;
  throw std::runtime_error("no tensor " + name);
}

void check_same(const NamedTensors& got, const NamedTensors& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (const auto& [name, tensor] : wanted) {
    INFO(name);
    CHECK(same_bits(find(got, name), tensor));
  }
}

std::vector<double> values(const NamedTensors& tensors, const std::string& name, DType dtype) {
  const Tensor& t = find(tensors, name);
  CHECK(t.dtype() == dtype);
  return t.values();
}

const std::vector<double> halves = {1, -0.0, 65504, 1.0 / (1 << 24), inf, -0.333251953125};

void check_others(const NamedTensors& t) {
  CHECK(values(t, "half", f32) == halves);
  CHECK(std::signbit(find(t, "half").value_at(1)));
  CHECK(values(t, "u8", i32) == std::vector<double>{0, 255});
  CHECK(values(t, "i8", i32) == std::vector<double>{-128, 127});
  CHECK(values(t, "u16", i32) == std::vector<double>{65535});
  CHECK(values(t, "i16", i32) == std::vector<double>{-32768});
  CHECK(values(t, "u32", i32) == std::vector<double>{2147483647});
  CHECK(values(t, "i64", i32) == std::vector<double>{-2147483648.0, 5});
  CHECK(values(t, "u64", i32) == std::vector<double>{9});
  CHECK(values(t, "flags", i32) == std::vector<double>{1, 0, 1});
}

}  // namespace

TEST_CASE("safetensors: a file of the package safetensors", "[io]") {
  const SafetensorsFile file = read_safetensors(data_file("io/package.safetensors"));
  check_same(file.tensors, package_tensors());
  CHECK(file.metadata == std::vector<std::pair<std::string, std::string>>{{"note", "line\none \"two\" \u00fc"}});
  CHECK(file.tensors.front().first == "a/\u00fc");  // f64 comes first
}

TEST_CASE("safetensors: written byte for byte as by the package safetensors", "[io]") {
  const TempDir dir;
  write_safetensors(dir / "w.safetensors", package_tensors(), {{"note", "line\none \"two\" \u00fc"}});
  CHECK(read_bytes(dir / "w.safetensors") == read_bytes(data_file("io/package.safetensors")));
}

TEST_CASE("safetensors: the layout, byte by byte", "[io]") {
  const TempDir dir;
  write_safetensors(dir / "w.safetensors",
                    {{"w", Tensor::of<float>({1, 2}, {1, -2})}, {"i", Tensor::of<std::int32_t>({1}, {258})}});
  std::string header = R"({"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"i":{"dtype":"I32","shape":[1],)"
                       R"("data_offsets":[8,12]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string expected(8, '\0');
  expected[0] = static_cast<char>(header.size());
  expected += header + std::string("\x00\x00\x80\x3f\x00\x00\x00\xc0\x02\x01\x00\x00", 12);
  CHECK(read_bytes(dir / "w.safetensors") == expected);
  write_safetensors(dir / "none.safetensors", {});
  CHECK(read_bytes(dir / "none.safetensors") == std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  CHECK(read_safetensors(dir / "none.safetensors").tensors.empty());
}

TEST_CASE("safetensors: other types are converted exactly", "[io]") {
  check_others(read_safetensors(data_file("io/others.safetensors")).tensors);
}

TEST_CASE("safetensors: bf16 becomes f32 bit for bit", "[io]") {
  const TempDir dir;
  std::string header = R"({"b":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}})";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  bytes += header + std::string("\x80\x3f\x01\x80\x81\x7f", 6);
  const SafetensorsFile file = read_safetensors(dir.write("b.safetensors", bytes));
  const auto* p = file.tensors.at(0).second.data<float>();
  CHECK(std::bit_cast<std::uint32_t>(p[0]) == 0x3f800000);
  CHECK(std::bit_cast<std::uint32_t>(p[1]) == 0x80010000);
  CHECK(std::bit_cast<std::uint32_t>(p[2]) == 0x7f810000);  // a signalling NaN is not changed
}

TEST_CASE("npz: numpy's archives, stored and deflated", "[io]") {
  NamedTensors expected = package_tensors();
  expected.erase(expected.begin() + 2);
  check_same(read_npz(data_file("io/numpy.npz")), expected);
  const NamedTensors deflated = read_npz(data_file("io/numpy_deflated.npz"));
  CHECK(same_bits(find(deflated, "ramp"), Tensor::arange(3000).reshape(Shape{3, 1000})));
  CHECK(same_bits(find(deflated, "few"), package_tensors()[2].second));
}

TEST_CASE("npz: other types, byte orders and Fortran order", "[io]") {
  const NamedTensors t = read_npz(data_file("io/others.npz"));
  check_others(t);
  const NamedTensors ours = package_tensors();
  CHECK(same_bits(find(t, "big_f4"), ours[0].second));
  CHECK(same_bits(find(t, "big_f8"), ours[1].second));
  CHECK(same_bits(find(t, "big_i4"), ours[2].second));
  CHECK(values(t, "big_f2", f32) == halves);
  CHECK(values(t, "big_i8", i32) == std::vector<double>{-2147483648.0, 5});
  CHECK(same_bits(find(t, "fortran"), Tensor::arange(24, f64).reshape(Shape{2, 3, 4})));
  CHECK(same_bits(find(t, "fortran_matrix"), ours[0].second));
}

TEST_CASE("npz: an array's header and data are numpy's byte for byte", "[io]") {
  const TempDir dir;
  NamedTensors tensors = package_tensors();
  tensors.erase(tensors.begin() + 2);
  write_npz(dir / "w.npz", tensors);
  const auto unpacked = [](const std::filesystem::path& path) {
    const detail::RandomAccessFile source("[test]", path);
    std::vector<std::pair<std::string, std::string>> files;
    for (const detail::ZipEntry& entry : detail::read_zip_directory(source)) {
      std::string bytes(static_cast<std::size_t>(entry.size), '\0');
      detail::ZipStream stream(source, entry);
      stream.read(bytes.data(), entry.size);
      stream.finish();
      files.emplace_back(entry.name, bytes);
    }
    return files;
  };
  CHECK(unpacked(dir / "w.npz") == unpacked(data_file("io/numpy.npz")));
}

TEST_CASE("tensor files: written tensors are read back", "[io]") {
  const TempDir dir;
  NamedTensors tensors = package_tensors();
  tensors.emplace_back("rank8", Tensor::arange(256, i32).reshape(Shape{2, 2, 2, 2, 2, 2, 2, 2}));
  tensors.emplace_back("large", Tensor::arange(100000, f64).reshape(Shape{100, 1000}));
  for (const bool compress : {false, true}) {
    write_npz(dir / "w.npz", tensors, {.compress = compress});
    const NamedTensors got = read_npz(dir / "w.npz");
    check_same(got, tensors);
    CHECK(got[1].first == tensors[1].first);  // in the caller's order
  }
  CHECK(std::filesystem::file_size(dir / "w.npz") < 300000);
  write_safetensors(dir / "w.safetensors", tensors);
  check_same(read_safetensors(dir / "w.safetensors").tensors, tensors);
  write_npz(dir / "none.npz", {});
  CHECK(read_npz(dir / "none.npz").empty());
}

TEST_CASE("npz: zip64 records where sizes or offsets pass the limit", "[io]") {
  const TempDir dir;
  for (const bool deflate : {false, true})
    for (const std::uint64_t limit : {0, 100, 150, 300}) {
      const std::vector<std::string> contents = {std::string(120, 'a'), "", std::string(400, 'b'), "c"};
      {
        AtomicFile file("[test]", dir / "z.zip");
        detail::ZipWriter zip(file, deflate, limit);
        for (std::size_t i = 0; i < contents.size(); ++i) zip.add("entry " + std::to_string(i), {contents[i]});
        zip.finish();
        file.commit();
      }
      const detail::RandomAccessFile source("[test]", dir / "z.zip");
      const auto entries = detail::read_zip_directory(source);
      REQUIRE(entries.size() == contents.size());
      for (std::size_t i = 0; i < contents.size(); ++i) {
        CAPTURE(deflate, limit, i);
        std::string bytes(static_cast<std::size_t>(entries[i].size), '\0');
        detail::ZipStream stream(source, entries[i]);
        stream.read(bytes.data(), entries[i].size);
        stream.finish();
        CHECK(bytes == contents[i]);
      }
    }
}

TEST_CASE("tensor files: writing refuses tensors that a format cannot store and leaves no file behind", "[io]") {
  const TempDir dir;
  const Tensor t = Tensor::zeros({2});
  const auto path = dir / "w";
  using Catch::Contains;
  CHECK_THROWS_WITH(write_safetensors(path, {{"a", t}, {"a", t}}),
                    Contains("[write_safetensors]") && Contains("two of the name \"a\""));
  CHECK_THROWS_WITH(write_safetensors(path, {{"__metadata__", t}}), Contains("must not name a tensor"));
  CHECK_THROWS_WITH(write_safetensors(path, {{"a", Tensor()}}), Contains("undefined"));
  CHECK_THROWS_WITH(write_safetensors(path, {{"\xff", t}}), Contains("not UTF-8"));
  CHECK_THROWS_WITH(write_safetensors(path, {}, {{"k", "\xc0\x80"}}), Contains("not UTF-8"));
  CHECK_THROWS_WITH(write_safetensors(path, {}, {{"k", ""}, {"k", ""}}), Contains("two of the key \"k\""));
  CHECK_THROWS_WITH(write_npz(path, {{"a", t}, {"a", t}}),
                    Contains("[write_npz]") && Contains("two of the name \"a\""));
  CHECK_THROWS_WITH(write_npz(path, {{"a", Tensor()}}), Contains("undefined"));
  CHECK_THROWS_WITH(write_npz(path, {{"", t}}), Contains("1 to 65000 bytes"));
  CHECK_THROWS_WITH(write_npz(path, {{std::string("a\0b", 3), t}}), Contains("none of them zero"));
  CHECK_THROWS_WITH(write_npz(path, {{"\xed\xa0\x80", t}}), Contains("UTF-8"));
  CHECK_THROWS_AS(write_npz(dir / "no/folder/w.npz", {{"a", t}}), IoError);
  CHECK(std::filesystem::is_empty(dir.path()));
}
