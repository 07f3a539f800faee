// NIfTI: comparison of real files with nibabel, round trips, headers built byte by byte, and broken files of every
// kind.
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "support/broken_file.hpp"
#include "support/message_of.hpp"
#include "support/plain_user.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/data/nifti.hpp"
#include "voxgrad/framework/formats/formats.hpp"

using vg::test::message_of;
using vg::test::put;
using vg::test::read_bytes;
using vg::test::TempDir;
using namespace vg;

namespace {

const std::filesystem::path templates = "/usr/share/mricron/templates";

double at(const Volume& v, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t c = 0) {
  return v.data.value_at(((i * v.data.dim(1) + j) * v.data.dim(2) + k) * v.channels() + c);
}

/// Values 100 i + 10 j + k + 0.5 c for floats; without the last term for i32.
Volume ramp(const Shape& shape, DType dtype = f32) {
  Volume v{Tensor(shape, dtype), {2, 0, 0, -10, 0, 3, 0, 5.5, 0, 0, 4, 7, 0, 0, 0, 1}};
  const std::int64_t channels = v.channels();
  dispatch(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* to = v.data.data<T>();
    for (std::int64_t i = 0; i < v.data.dim(0); ++i)
      for (std::int64_t j = 0; j < v.data.dim(1); ++j)
        for (std::int64_t k = 0; k < v.data.dim(2); ++k)
          for (std::int64_t c = 0; c < channels; ++c)
            *to++ = static_cast<T>(static_cast<double>(100 * i + 10 * j + k) + 0.5 * static_cast<double>(c));
  });
  return v;
}

std::string gzip(const std::string& bytes, const TempDir& dir) {
  const auto path = dir / "gzip.tmp";
  gzFile f = gzopen(path.c_str(), "wb");
  gzwrite(f, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(f);
  return read_bytes(path);
}

/// A NIfTI-1 file built by hand: 2 x 3 x 2 voxels of type `code` with values 0, 1, 2, ... in the order of the file.
template <class T>
std::string raw_file(std::int16_t code, bool swapped = false, float slope = 0, float inter = 0) {
  std::string b(352, '\0');
  put(b, 0, std::int32_t{348}, swapped);
  const std::int16_t dims[8] = {3, 2, 3, 2, 1, 1, 1, 1};
  for (std::size_t i = 0; i < 8; ++i) put(b, 40 + 2 * i, dims[i], swapped);
  put(b, 70, code, swapped);
  put(b, 72, static_cast<std::int16_t>(8 * sizeof(T)), swapped);
  const float pixdim[4] = {1, 1.5f, 2, 3};
  for (std::size_t i = 0; i < 4; ++i) put(b, 76 + 4 * i, pixdim[i], swapped);
  put(b, 108, 352.0f, swapped);
  put(b, 112, slope, swapped);
  put(b, 116, inter, swapped);
  std::memcpy(b.data() + 344, "n+1", 4);
  for (int i = 0; i < 12; ++i) {
    b.resize(b.size() + sizeof(T));
    put(b, b.size() - sizeof(T), static_cast<T>(i), swapped);
  }
  return b;
}

/// The message of read_nifti for a file that it must refuse.
std::string refusal(const std::filesystem::path& path, DType dtype = f32) {
  return message_of<IoError>([&] { read_nifti(path, dtype); });
}

}  // namespace

TEST_CASE("nifti: the T1 template that Debian ships", "[io]") {
  const Volume v = read_nifti(templates / "ch2.nii.gz");
  CHECK(v.data.shape() == Shape{181, 217, 181});
  CHECK(v.data.dtype() == f32);
  // From nibabel 5: np.asarray(nibabel.load(...).dataobj).
  CHECK(at(v, 90, 108, 90) == 33);
  CHECK(at(v, 60, 100, 80) == 113);
  CHECK(at(v, 120, 50, 70) == 116);
  CHECK(at(v, 30, 120, 60) == 74);
  CHECK(at(v, 10, 10, 10) == 0);
  double sum = 0;
  for (std::int64_t i = 0; i < v.data.numel(); ++i) sum += v.data.value_at(i);
  CHECK(sum == 317151210);
  CHECK(v.affine == Affine{1, 0, 0, -90, 0, 1, 0, -125, 0, 0, 1, -71, 0, 0, 0, 1});
  CHECK(v.spacing() == std::array<double, 3>{1, 1, 1});
}

TEST_CASE("nifti: the AAL labels that Debian ships", "[io]") {
  const Volume v = read_nifti_labels(templates / "aal.nii.gz");
  CHECK(v.data.shape() == Shape{181, 217, 181});
  CHECK(v.data.dtype() == i32);
  CHECK(at(v, 120, 50, 70) == 56);
  CHECK(at(v, 30, 120, 60) == 85);
  std::int64_t sum = 0;
  const std::int32_t* p = v.data.data<std::int32_t>();
  for (std::int64_t i = 0; i < v.data.numel(); ++i) sum += p[i];
  CHECK(sum == 76656511);
  CHECK(*std::max_element(p, p + v.data.numel()) == 116);
}

TEST_CASE("nifti: every stored type, both byte orders, plain and gzip", "[io]") {
  const TempDir dir;
  const auto check = [&](auto zero, std::int16_t code) {
    for (const bool swapped : {false, true})
      for (const bool compressed : {false, true}) {
        const std::string bytes = raw_file<decltype(zero)>(code, swapped);
        const Volume v =
            read_nifti(dir.write("v.nii", compressed ? gzip(bytes, dir) : bytes), code % 3 == 0 ? f64 : f32);
        CAPTURE(code, swapped, compressed);
        REQUIRE(v.data.shape() == Shape{2, 3, 2});
        for (std::int64_t x = 0; x < 2; ++x)
          for (std::int64_t y = 0; y < 3; ++y)
            for (std::int64_t z = 0; z < 2; ++z) CHECK(at(v, x, y, z) == static_cast<double>(x + 2 * (y + 3 * z)));
        CHECK(v.affine == Affine{1.5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1});
      }
  };
  check(std::uint8_t{}, 2);
  check(std::int16_t{}, 4);
  check(std::int32_t{}, 8);
  check(float{}, 16);
  check(double{}, 64);
  check(std::int8_t{}, 256);
  check(std::uint16_t{}, 512);
  check(std::uint32_t{}, 768);
  check(std::int64_t{}, 1024);
  check(std::uint64_t{}, 1280);
}

TEST_CASE("nifti: slope and intercept", "[io]") {
  const TempDir dir;
  const auto path = dir.write("v.nii", raw_file<std::int16_t>(4, false, 0.5f, -10));
  CHECK(at(read_nifti(path), 1, 0, 0) == -9.5);
  CHECK(at(read_nifti(path, f64), 1, 2, 1) == -4.5);
  CHECK_THAT(refusal(path, i32),
             Catch::Contains("voxel (1, 0, 0)") && Catch::Contains("-9.5") && Catch::Contains("v.nii"));
  CHECK(at(read_nifti_labels(dir.write("w.nii", raw_file<std::int16_t>(4, false, 2, 3))), 1, 2, 1) == 25);
  // A slope of 0 means no scaling for any intercept.
  CHECK(at(read_nifti(dir.write("u.nii", raw_file<std::int16_t>(4, false, 0, 3))), 1, 0, 0) == 1);
}

TEST_CASE("nifti: sform before qform before voxel sizes, units, missing sizes", "[io]") {
  const TempDir dir;
  std::string b = raw_file<std::uint8_t>(2);
  put(b, 76, -1.0f);             // qfac: z reversed
  put(b, 252, std::int16_t{1});  // qform_code; the quaternion (0, 0, 1) below is half a turn about z
  put(b, 264, 1.0f);
  put(b, 268, 4.0f), put(b, 272, 5.0f), put(b, 276, 6.0f);
  Volume v = read_nifti(dir.write("q.nii", b));
  const Affine expected = {-1.5, 0, 0, 4, 0, -2, 0, 5, 0, 0, -3, 6, 0, 0, 0, 1};
  for (std::size_t i = 0; i < 16; ++i) CHECK(v.affine[i] == Approx(expected[i]).margin(1e-12));

  put(b, 254, std::int16_t{2});  // sform_code
  const float rows[12] = {0, 2, 0, 1, 3, 0, 0, 2, 0, 0, 4, 3};
  for (std::size_t i = 0; i < 12; ++i) put(b, 280 + 4 * i, rows[i]);
  v = read_nifti(dir.write("s.nii", b));
  CHECK(v.affine == Affine{0, 2, 0, 1, 3, 0, 0, 2, 0, 0, 4, 3, 0, 0, 0, 1});
  CHECK(v.spacing() == std::array<double, 3>{3, 2, 4});
  CHECK(v.world(1, 1, 1) == std::array<double, 3>{3, 5, 7});

  b[123] = 3;  // microns
  v = read_nifti(dir.write("um.nii", b));
  CHECK(v.spacing()[2] == Approx(0.004));

  std::string zero = raw_file<std::uint8_t>(2);
  put(zero, 80, 0.0f), put(zero, 84, -2.0f);
  CHECK(read_nifti(dir.write("p.nii", zero)).spacing() == std::array<double, 3>{1, 2, 3});
}

TEST_CASE("nifti: fewer and more than three dimensions", "[io]") {
  const TempDir dir;
  std::string b = raw_file<std::uint8_t>(2);
  const auto dims = [&](std::array<std::int16_t, 8> d) {
    for (std::size_t i = 0; i < 8; ++i) put(b, 40 + 2 * i, d[i]);
    return read_nifti(dir.write("d.nii", b));
  };
  CHECK(dims({1, 12, 0, 0, 0, 0, 0, 0}).data.shape() == Shape{12, 1, 1});
  CHECK(dims({2, 4, 3, -5, 0, 0, 0, 0}).data.shape() == Shape{4, 3, 1});
  CHECK(dims({4, 2, 3, 2, 1, 0, 0, 0}).data.shape() == Shape{2, 3, 2, 1});
  const Volume t = dims({4, 2, 1, 2, 3, 0, 0, 0});
  CHECK(t.data.shape() == Shape{2, 1, 2, 3});
  CHECK(at(t, 1, 0, 1, 2) == 1 + 2 * (1 + 2 * 2));
  const Volume vector = dims({5, 2, 1, 2, 1, 3, 1, 1});
  CHECK(vector.data.shape() == Shape{2, 1, 2, 3});
  CHECK(at(vector, 0, 0, 1, 1) == 6);
  CHECK(dims({7, 1, 1, 1, 3, 2, 2, 1}).data.shape() == Shape{1, 1, 1, 12});
}

TEST_CASE("nifti: written volumes are read back", "[io]") {
  const TempDir dir;
  for (const Shape& shape : {Shape{5, 4, 3}, Shape{2, 3, 4, 3}, Shape{1, 1, 1}, Shape{3, 2, 40}, Shape{2, 2, 2, 1}})
    for (const DType dtype : {f32, f64, i32})
      for (const char* name : {"v.nii", "v.nii.gz"}) {
        const Volume v = ramp(shape, dtype);
        write_nifti(dir / name, v);
        const Volume r = read_nifti(dir / name, dtype);
        CAPTURE(shape.str(), name_of(dtype), name);
        CHECK(r.data.shape() == shape);
        CHECK(r.data.values() == v.data.values());
        CHECK(r.affine == v.affine);
      }
  for (const NiftiType type :
       {NiftiType::uint8, NiftiType::int8, NiftiType::int16, NiftiType::uint16, NiftiType::int32, NiftiType::uint32,
        NiftiType::int64, NiftiType::uint64, NiftiType::float32, NiftiType::float64}) {
    const Volume v = ramp({1, 4, 5}, i32);
    write_nifti(dir / "t.nii.gz", v, type);
    CHECK(read_nifti(dir / "t.nii.gz", i32).data.values() == v.data.values());
  }
  const auto magic = read_bytes(dir / "v.nii.gz").substr(0, 2);
  CHECK(magic == "\x1f\x8b");
}

TEST_CASE("nifti: extreme values, oblique affines, long axes", "[io]") {
  const TempDir dir;
  const float inf = std::numeric_limits<float>::infinity();
  write_nifti(dir / "e.nii", {Tensor::of<float>({1, 1, 4}, {inf, -inf, 1e-42f, 3.4e38f}), identity_affine});
  CHECK(read_nifti(dir / "e.nii").data.values() == std::vector<double>{inf, -inf, 1e-42f, 3.4e38f});
  write_nifti(dir / "i.nii", {Tensor::of<std::int32_t>({1, 1, 2}, {INT32_MIN, INT32_MAX}), identity_affine});
  CHECK(read_nifti_labels(dir / "i.nii").data.values() == std::vector<double>{INT32_MIN, INT32_MAX});

  Volume v = ramp({2, 2, 2});
  const double c = std::cos(0.3), s = std::sin(0.3);
  v.affine = {2 * c, -3 * s, 0, -7.25, 2 * s, 3 * c, 0, 9, 0, 0, -4, 1, 0, 0, 0, 1};  // rotated, mirrored
  write_nifti(dir / "o.nii", v);
  Volume r = read_nifti(dir / "o.nii");
  for (std::size_t i = 0; i < 16; ++i) CHECK(r.affine[i] == static_cast<double>(static_cast<float>(v.affine[i])));
  // The qform is equivalent: without the sform the affine is the same up to float32.
  std::string b = read_bytes(dir / "o.nii");
  put(b, 254, std::int16_t{0});
  r = read_nifti(dir.write("oq.nii", b));
  for (std::size_t i = 0; i < 16; ++i) CHECK(r.affine[i] == Approx(v.affine[i]).margin(1e-5));
  v.affine[1] += 1;  // sheared: a qform cannot express it
  write_nifti(dir / "h.nii", v);
  CHECK(read_bytes(dir / "h.nii").substr(252, 2) == std::string(2, '\0'));

  // An extent over 32767 needs a NIfTI-2 header, whose affine is in double.
  Volume l{Tensor::arange(40000).reshape(Shape{40000, 1, 1}), v.affine};
  write_nifti(dir / "l.nii.gz", l);
  r = read_nifti(dir / "l.nii.gz");
  CHECK(r.data.shape() == Shape{40000, 1, 1});
  CHECK(r.data.values() == l.data.values());
  CHECK(r.affine == l.affine);
}

TEST_CASE("nifti: writing refuses values that it cannot store and leaves no file behind", "[io]") {
  const TempDir dir;
  Volume v = ramp({2, 2, 2});
  write_nifti(dir / "keep.nii", v);
  const std::string before = read_bytes(dir / "keep.nii");
  v.data.data<float>()[5] = 300;
  CHECK_THROWS_WITH(write_nifti(dir / "keep.nii", v, NiftiType::uint8),
                    Catch::Contains("voxel (1, 0, 1)") && Catch::Contains("300"));
  v.data.data<float>()[5] = 0.5f;
  CHECK_THROWS_AS(write_nifti(dir / "keep.nii", v, NiftiType::int16), ValueError);
  v.data.data<float>()[5] = std::nanf("");
  CHECK_THROWS_AS(write_nifti(dir / "keep.nii", v, NiftiType::int64), ValueError);
  v.data.data<float>()[5] = 18446744073709551616.0f;  // 2^64
  CHECK_THROWS_AS(write_nifti(dir / "keep.nii", v, NiftiType::uint64), ValueError);
  CHECK_THROWS_AS(write_nifti(dir / "v.img", v), ValueError);
  CHECK_THROWS_AS(write_nifti(dir / "v.nii", Volume{}), ValueError);
  CHECK_THROWS_AS(write_nifti(dir / "v.nii", {Tensor::zeros({2, 0, 2}), identity_affine}), ValueError);
  CHECK_THROWS_AS(write_nifti(dir / "v.nii", {Tensor::zeros({2, 2}), identity_affine}), ValueError);
  CHECK_THROWS_AS(write_nifti(dir / "v.nii", {Tensor::zeros({2, 2, 2}), Affine{}}), ValueError);
  CHECK_THROWS_WITH(write_nifti(dir / "no/such/folder/v.nii", v),
                    Catch::Contains("[write_nifti]") && Catch::Contains("no/such/folder"));
  CHECK(read_bytes(dir / "keep.nii") == before);
  CHECK(dir.names() == std::vector<std::string>{"keep.nii"});
}

TEST_CASE("nifti: missing files and paths that are no files", "[io][malformed]") {
  const TempDir dir;
  CHECK_THAT(refusal(dir / "none.nii"), Catch::Contains("none.nii") && Catch::Contains("no such file"));
  CHECK_THAT(refusal(dir.path()), Catch::Contains("not a regular file"));
  CHECK_THAT(refusal(dir.write("empty.nii.gz", "")), Catch::Contains("empty.nii.gz") && Catch::Contains("is empty"));
  REQUIRE(::mkfifo((dir / "pipe.nii").c_str(), 0600) == 0);  // opening it would block forever
  CHECK_THAT(refusal(dir / "pipe.nii"), Catch::Contains("not a regular file"));
  std::filesystem::permissions(dir.write("closed.nii", "x"), std::filesystem::perms::none);
  const vg::test::PlainUser plain;
  CHECK_THAT(refusal(dir / "closed.nii"), Catch::EndsWith("closed.nii: Permission denied"));
}

TEST_CASE("nifti: malformed headers", "[io][malformed]") {
  const TempDir dir;
  const float nan = std::nanf("");
  struct Case {
    const char* name;
    void (*damage)(std::string&, float nan);
    const char* says;
  };
  const Case cases[] = {
      {"text", [](std::string& b, float) { b = "this is no image at all, only some text\n"; },
       "no NIfTI file: it begins with"},
      {"zeros", [](std::string& b, float) { b.assign(b.size(), '\0'); }, "no NIfTI file: it begins with 0"},
      {"three_bytes", [](std::string& b, float) { b.resize(3); }, "ends within its header"},
      {"header_cut", [](std::string& b, float) { b.resize(200); }, "ends within its header"},
      {"no_data", [](std::string& b, float) { b.resize(352); }, "truncated"},
      {"one_byte_short", [](std::string& b, float) { b.resize(b.size() - 1); }, "truncated"},
      {"no_magic", [](std::string& b, float) { std::memcpy(b.data() + 344, "\0\0\xff\n", 4); },
       "magic is \"\\x00\\x00\\xff\\x0a\""},
      {"pair", [](std::string& b, float) { std::memcpy(b.data() + 344, "ni1", 4); }, ".hdr/.img"},
      {"dim0_zero", [](std::string& b, float) { put(b, 40, std::int16_t{0}); }, "dim[0]"},
      {"dim0_eight", [](std::string& b, float) { put(b, 40, std::int16_t{8}); }, "dim[0]"},
      {"dim0_negative", [](std::string& b, float) { put(b, 40, std::int16_t{-3}); }, "dim[0]"},
      {"dim2_negative", [](std::string& b, float) { put(b, 44, std::int16_t{-3}); }, "dim[2] is -3"},
      {"dim3_zero", [](std::string& b, float) { put(b, 46, std::int16_t{0}); }, "dim[3] is 0"},
      {"huge",
       [](std::string& b, float) {
         for (std::size_t i = 1; i < 4; ++i) put(b, 40 + 2 * i, std::int16_t{32767});
       },
       "truncated"},
      {"overflow",
       [](std::string& b, float) {
         put(b, 40, std::int16_t{7});
         for (std::size_t i = 1; i < 8; ++i) put(b, 40 + 2 * i, std::int16_t{32767});
       },
       "2^63"},
      {"datatype_complex", [](std::string& b, float) { put(b, 70, std::int16_t{32}); },
       "datatype 32 (NIFTI_TYPE_COMPLEX64)"},
      {"datatype_rgb", [](std::string& b, float) { put(b, 70, std::int16_t{128}); }, "datatype 128"},
      {"datatype_garbage", [](std::string& b, float) { put(b, 70, std::int16_t{-77}); }, "datatype -77"},
      {"offset_nan", [](std::string& b, float n) { put(b, 108, n); }, "vox_offset"},
      {"offset_zero", [](std::string& b, float) { put(b, 108, 0.0f); }, "vox_offset"},
      {"offset_negative", [](std::string& b, float) { put(b, 108, -400.0f); }, "vox_offset"},
      {"offset_fraction", [](std::string& b, float) { put(b, 108, 352.5f); }, "vox_offset"},
      {"offset_huge", [](std::string& b, float) { put(b, 108, 1e14f); }, "truncated"},
      {"slope_nan", [](std::string& b, float n) { put(b, 112, n); }, "scl_slope is nan"},
      {"slope_inf", [](std::string& b, float) { put(b, 112, std::numeric_limits<float>::infinity()); },
       "scl_slope is inf"},
      {"inter_nan", [](std::string& b, float n) { put(b, 112, 1.0f), put(b, 116, n); }, "scl_inter is nan"},
      {"sform_zero", [](std::string& b, float) { put(b, 254, std::int16_t{1}); }, "sform is singular"},
      {"qform_nan", [](std::string& b, float n) { put(b, 252, std::int16_t{1}), put(b, 268, n); },
       "qform is singular or not finite"},
      {"pixdim_nan", [](std::string& b, float n) { put(b, 84, n); }, "voxel sizes"},
  };
  for (const Case& c : cases)
    for (const bool compressed : {false, true}) {
      std::string bytes = raw_file<std::uint8_t>(2);
      c.damage(bytes, nan);
      const std::string name = std::string(c.name) + (compressed ? ".nii.gz" : ".nii");
      CAPTURE(name);
      const std::string said = refusal(dir.write(name, compressed ? gzip(bytes, dir) : bytes));
      CHECK_THAT(said, Catch::StartsWith("[read_nifti] ") && Catch::Contains(name) && Catch::Contains(c.says));
    }
}

TEST_CASE("nifti: damaged gzip streams", "[io][malformed]") {
  const TempDir dir;
  write_nifti(dir / "v.nii.gz", ramp({9, 8, 7}));
  const std::string good = read_bytes(dir / "v.nii.gz");
  // Truncated within the gzip header, the stream or the checksum.
  for (const std::size_t keep :
       {std::size_t{1}, std::size_t{5}, std::size_t{15}, good.size() / 2, good.size() - 9, good.size() - 1}) {
    CAPTURE(keep);
    CHECK_THAT(refusal(dir.write("cut.nii.gz", good.substr(0, keep))), Catch::Contains("cut.nii.gz"));
  }
  std::string damaged = good;
  damaged[good.size() - 6] = static_cast<char>(damaged[good.size() - 6] ^ 0x40);  // in the checksum
  CHECK_THAT(refusal(dir.write("sum.nii.gz", damaged)), Catch::Contains("damaged gzip stream"));
  damaged = good;
  for (std::size_t i = good.size() / 2; i < good.size() / 2 + 20; ++i) damaged[i] = '\x55';
  CHECK_THAT(refusal(dir.write("middle.nii.gz", damaged)), Catch::Contains("middle.nii.gz"));
  CHECK_THAT(refusal(dir.write("noise.nii.gz", "\x1f\x8b\x08 and then nothing of use")),
             Catch::Contains("noise.nii.gz"));
  // Bytes after the data are no error, because programs append to files.
  CHECK(read_nifti(dir.write("more.nii", raw_file<std::uint8_t>(2) + "appended")).data.numel() == 12);
}

TEST_CASE("nifti: a header with one changed byte is either read or refused", "[io][malformed]") {
  const TempDir dir;
  const std::string good = raw_file<std::int16_t>(4, false, 1, 0);
  int accepted = 0;
  int refused = 0;
  for (std::size_t i = 0; i < 352; ++i)
    for (const unsigned char bits : {std::uint8_t{0x01}, std::uint8_t{0x80}, std::uint8_t{0xff}}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) ^ bits);
      const auto path = dir.write("fuzz.nii", bytes);
      CAPTURE(i, static_cast<int>(bits));
      try {
        const Volume v = read_nifti(path);
        CHECK(v.data.numel() <= 12);
        ++accepted;
      } catch (const IoError& e) {
        CHECK_THAT(e.what(), Catch::Contains("fuzz.nii"));
        ++refused;
      }
    }
  CHECK(accepted > 500);
  CHECK(refused > 50);
}

TEST_CASE("nifti: declared sizes allocate no memory", "[io][malformed]") {
  const TempDir dir;
  std::string huge = raw_file<std::uint8_t>(2);  // 400 bytes that declare 18 GB
  for (std::size_t i = 1; i < 4; ++i) put(huge, 40 + 2 * i, std::int16_t{2600});
  huge.resize(400);
  std::string offset = raw_file<std::uint8_t>(2);
  put(offset, 108, 1e14f);
  const std::int64_t before = (memory::reset_peak(), memory::stats().in_use);
  for (const std::string& bytes : {huge, offset})
    for (const bool compressed : {false, true})
      CHECK_THAT(refusal(dir.write("v.nii", compressed ? gzip(bytes, dir) : bytes), f64),
                 Catch::Contains("truncated, or its header is damaged: the header declares"));
  CHECK(memory::stats().peak - before < 4096);
  // Memory is allocated for at most 1032 times the packed bytes, which they could expand to.
  std::string believed = raw_file<std::uint8_t>(2);
  for (std::size_t i = 1; i < 4; ++i) put(believed, 40 + 2 * i, std::int16_t{40});
  CHECK_THAT(refusal(dir.write("v.nii", gzip(believed, dir))), Catch::Contains("truncated: it ends within its voxels"));
  CHECK(memory::stats().peak - before < 600000);
}
