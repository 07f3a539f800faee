#include "voxgrad/data/nifti_header.hpp"

#include <fmt/format.h>
#include <nifti2_io.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "voxgrad/framework/base/error.hpp"

namespace vg::detail {

namespace {

static_assert(sizeof(nifti_1_header) == nifti1_header_bytes && sizeof(nifti_2_header) == nifti2_header_bytes);

struct TypeRow {
  NiftiType type;
  int code;
  std::int64_t bytes;
  std::string_view name;
};
constexpr TypeRow type_rows[] = {
    {NiftiType::uint8, DT_UINT8, 1, "uint8"},       {NiftiType::int8, DT_INT8, 1, "int8"},
    {NiftiType::int16, DT_INT16, 2, "int16"},       {NiftiType::uint16, DT_UINT16, 2, "uint16"},
    {NiftiType::int32, DT_INT32, 4, "int32"},       {NiftiType::uint32, DT_UINT32, 4, "uint32"},
    {NiftiType::int64, DT_INT64, 8, "int64"},       {NiftiType::uint64, DT_UINT64, 8, "uint64"},
    {NiftiType::float32, DT_FLOAT32, 4, "float32"}, {NiftiType::float64, DT_FLOAT64, 8, "float64"},
};

const TypeRow& row_of(NiftiType type) {
  return *std::find_if(std::begin(type_rows), std::end(type_rows), [&](const TypeRow& r) { return r.type == type; });
}

[[noreturn]] void bad(const std::string& file, const std::string& what) {
  throw IoError(fmt::format("[read_nifti] {}: {}", file, what));
}

double determinant(const Affine& a) {
  return a[0] * (a[5] * a[10] - a[6] * a[9]) - a[1] * (a[4] * a[10] - a[6] * a[8]) + a[2] * (a[4] * a[9] - a[5] * a[8]);
}

bool usable(const Affine& a) {
  return std::all_of(a.begin(), a.end(), [](double v) { return std::isfinite(v); }) && std::isfinite(determinant(a)) &&
         determinant(a) != 0;
}

Affine from_matrix(const nifti_dmat44& m) {
  Affine a = identity_affine;
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 4; ++column) a[4 * row + column] = m.m[row][column];
  return a;
}

/// pixdim[axis]|, or 1 for the 0 that some programs write there.
template <class Raw>
double voxel_size(const Raw& h, std::size_t axis) {
  const double size = std::abs(static_cast<double>(h.pixdim[axis]));
  return size == 0 ? 1 : size;
}

template <class Raw>
Affine affine_of(const std::string& file, const Raw& h) {
  Affine a = identity_affine;
  std::string_view source = "voxel sizes (pixdim)";
  if (h.sform_code > 0) {
    source = "sform";
    for (std::size_t i = 0; i < 4; ++i) {
      a[i] = static_cast<double>(h.srow_x[i]);
      a[4 + i] = static_cast<double>(h.srow_y[i]);
      a[8 + i] = static_cast<double>(h.srow_z[i]);
    }
  } else if (h.qform_code > 0) {
    source = "qform";
    a = from_matrix(nifti_quatern_to_dmat44(h.quatern_b, h.quatern_c, h.quatern_d, h.qoffset_x, h.qoffset_y,
                                            h.qoffset_z, voxel_size(h, 1), voxel_size(h, 2), voxel_size(h, 3),
                                            h.pixdim[0] < 0 ? -1 : 1));
  } else {
    for (std::size_t i = 0; i < 3; ++i) a[5 * i] = voxel_size(h, i + 1);
  }
  const int units = XYZT_TO_SPACE(h.xyzt_units);
  const double to_mm = units == NIFTI_UNITS_METER ? 1000 : units == NIFTI_UNITS_MICRON ? 0.001 : 1;
  for (std::size_t i = 0; i < 12; ++i) a[i] *= to_mm;
  if (!usable(a))
    bad(file,
        fmt::format("its {} is singular or not finite: [{}]", source, fmt::join(a.begin(), a.begin() + 12, ", ")));
  return a;
}

template <class Raw>
void read_dimensions(const std::string& file, const Raw& h, NiftiHeader& out) {
  const auto rank = static_cast<std::int64_t>(h.dim[0]);
  if (rank < 1 || rank > 7) bad(file, fmt::format("dim[0], the number of dimensions, is {}; it must be 1 to 7", rank));
  out.rank = static_cast<int>(rank);
  std::int64_t bytes = size_of(out.type);
  for (int d = 1; d <= out.rank; ++d) {
    const auto extent = static_cast<std::int64_t>(h.dim[d]);
    if (extent < 1) bad(file, fmt::format("dim[{}] is {}; it must be at least 1", d, extent));
    if (__builtin_mul_overflow(bytes, extent, &bytes)) bad(file, "its dimensions need more than 2^63 - 1 bytes");
    if (d <= 3)
      out.extent[static_cast<std::size_t>(d - 1)] = extent;
    else
      out.channels *= extent;
  }
  out.data_bytes = bytes;
  if (bytes > INT64_MAX - out.data_offset) bad(file, "its dimensions need more than 2^63 - 1 bytes");
}

template <class Raw>
void read_offset(const std::string& file, const Raw& h, NiftiHeader& out) {
  // vox_offset is a float in NIfTI-1, so it is compared as a double before it becomes an integer.
  const auto offset = static_cast<double>(h.vox_offset);
  constexpr double least = sizeof(Raw) + 4;
  if (!(offset >= least && offset <= 1e15) || offset != std::floor(offset))
    bad(file, fmt::format("vox_offset, where the data begin, is {}; it must be a whole number of at least {}", offset,
                          least));
  out.data_offset = static_cast<std::int64_t>(offset);
}

template <class Raw>
void read_scaling(const std::string& file, const Raw& h, NiftiHeader& out) {
  const auto slope = static_cast<double>(h.scl_slope);
  const auto intercept = static_cast<double>(h.scl_inter);
  if (!std::isfinite(slope)) bad(file, fmt::format("scl_slope is {}; it must be finite", slope));
  if (slope == 0) return;  // the standard's "no scaling"; the intercept is then ignored
  if (!std::isfinite(intercept)) bad(file, fmt::format("scl_inter is {}; it must be finite", intercept));
  out.slope = slope;
  out.intercept = intercept;
}

/// The bytes of a name, escaped so that a message can contain any bytes.
std::string in_quotes(const char* bytes, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    out += c >= 32 && c < 127 ? std::string(1, static_cast<char>(c)) : fmt::format("\\x{:02x}", c);
  }
  return out;
}

template <class Raw>
NiftiHeader parse(const std::string& file, std::span<const unsigned char> bytes, void (*swap)(Raw*)) {
  constexpr bool version1 = std::is_same_v<Raw, nifti_1_header>;
  alignas(8) Raw h;  // the struct is packed; alignas aligns its fields nevertheless
  std::memcpy(&h, bytes.data(), sizeof(h));
  NiftiHeader out;
  out.swapped = h.sizeof_hdr != static_cast<std::int32_t>(sizeof(Raw));
  if (out.swapped) swap(&h);
  constexpr std::string_view magic = version1 ? std::string_view("n+1\0", 4) : std::string_view("n+2\0\r\n\x1a\n", 8);
  if (version1 && std::memcmp(h.magic, "ni1", 4) == 0)
    bad(file, "the header of a .hdr/.img pair; only single-file NIfTI is read");
  if (std::memcmp(h.magic, magic.data(), magic.size()) != 0)
    bad(file, fmt::format("no NIfTI file: its magic is \"{}\"; it must be \"{}\"", in_quotes(h.magic, magic.size()),
                          magic.substr(0, 3)));
  const TypeRow* row =
      std::find_if(std::begin(type_rows), std::end(type_rows), [&](const TypeRow& r) { return r.code == h.datatype; });
  if (row == std::end(type_rows))
    bad(file, fmt::format("its voxels have datatype {} ({}), which is not read", static_cast<int>(h.datatype),
                          nifti_datatype_to_string(h.datatype)));
  out.type = row->type;
  read_offset(file, h, out);
  read_dimensions(file, h, out);
  read_scaling(file, h, out);
  out.affine = affine_of(file, h);
  return out;
}

/// Fills the sform, and also the qform if a rotation and voxel sizes can express the affine, for programs that read
/// only the qform.
template <class Raw>
void fill_affine(Raw& h, const Affine& a, const std::array<double, 3>& spacing) {
  nifti_dmat44 m{};
  for (std::size_t i = 0; i < 16; ++i) m.m[i / 4][i % 4] = a[i];
  double b = 0, c = 0, d = 0, x = 0, y = 0, z = 0, dx = 0, dy = 0, dz = 0, qfac = 1;
  nifti_dmat44_to_quatern(m, &b, &c, &d, &x, &y, &z, &dx, &dy, &dz, &qfac);
  const Affine again = from_matrix(nifti_quatern_to_dmat44(b, c, d, x, y, z, dx, dy, dz, qfac));
  const double largest = std::max({spacing[0], spacing[1], spacing[2]});
  bool same = true;
  for (std::size_t i = 0; i < 12; ++i)
    same = same && std::abs(again[i] - a[i]) <= 1e-6 * largest + 1e-9 * std::abs(a[i]);
  using Real = std::remove_reference_t<decltype(h.quatern_b)>;
  for (std::size_t i = 0; i < 4; ++i) {
    h.srow_x[i] = static_cast<Real>(a[i]);
    h.srow_y[i] = static_cast<Real>(a[4 + i]);
    h.srow_z[i] = static_cast<Real>(a[8 + i]);
  }
  h.sform_code = NIFTI_XFORM_ALIGNED_ANAT;
  h.qform_code = same ? NIFTI_XFORM_ALIGNED_ANAT : NIFTI_XFORM_UNKNOWN;
  h.quatern_b = static_cast<Real>(b), h.quatern_c = static_cast<Real>(c), h.quatern_d = static_cast<Real>(d);
  h.qoffset_x = static_cast<Real>(x), h.qoffset_y = static_cast<Real>(y), h.qoffset_z = static_cast<Real>(z);
  h.pixdim[0] = static_cast<Real>(qfac);
  for (std::size_t i = 0; i < 3; ++i) h.pixdim[i + 1] = static_cast<Real>(spacing[i]);
}

template <class Raw>
std::string make(const Volume& volume, NiftiType type, std::string_view magic) {
  alignas(8) Raw h{};
  h.sizeof_hdr = sizeof(Raw);
  std::memcpy(h.magic, magic.data(), magic.size());
  using Extent = std::remove_reference_t<decltype(h.dim[0])>;
  using Short = decltype(h.datatype);
  const Shape& shape = volume.data.shape();
  h.dim[0] = static_cast<Extent>(shape.rank());
  for (std::size_t i = 1; i < 8; ++i) h.dim[i] = i <= shape.size() ? static_cast<Extent>(shape[i - 1]) : Extent{1};
  h.datatype = static_cast<Short>(row_of(type).code);
  h.bitpix = static_cast<Short>(8 * size_of(type));
  h.vox_offset = sizeof(Raw) + 4;
  h.scl_slope = 1;
  h.xyzt_units = NIFTI_UNITS_MM;
  for (std::size_t i = 0; i < 8; ++i) h.pixdim[i] = 1;
  fill_affine(h, volume.affine, volume.spacing());
  std::string out(reinterpret_cast<const char*>(&h), sizeof(h));
  out.append(4, '\0');
  return out;
}

}  // namespace

std::int64_t size_of(NiftiType type) { return row_of(type).bytes; }
std::string_view name_of(NiftiType type) { return row_of(type).name; }

std::size_t nifti_header_size(const std::string& file, std::span<const unsigned char, 4> first) {
  std::uint32_t size = 0;
  std::memcpy(&size, first.data(), 4);
  for (const std::size_t known : {nifti1_header_bytes, nifti2_header_bytes})
    if (size == known || __builtin_bswap32(size) == known) return known;
  bad(file, fmt::format("no NIfTI file: it begins with {}; the size of a header, 348 or 540, is expected", size));
}

NiftiHeader parse_nifti_header(const std::string& file, std::span<const unsigned char> bytes) {
  return bytes.size() == nifti1_header_bytes ? parse<nifti_1_header>(file, bytes, nifti_swap_as_nifti1)
                                             : parse<nifti_2_header>(file, bytes, nifti_swap_as_nifti2);
}

std::string make_nifti_header(const Volume& volume, NiftiType type) {
  if (!usable(volume.affine) || volume.affine[12] != 0 || volume.affine[13] != 0 || volume.affine[14] != 0 ||
      volume.affine[15] != 1)
    throw ValueError(
        fmt::format("[write_nifti] affine: got [{}]; it must be finite and invertible, with 0 0 0 1 as its last row",
                    fmt::join(volume.affine, ", ")));
  const Shape& shape = volume.data.shape();
  const bool small = std::all_of(shape.begin(), shape.end(), [](std::int64_t e) { return e <= 32767; });
  return small ? make<nifti_1_header>(volume, type, std::string_view("n+1\0", 4))
               : make<nifti_2_header>(volume, type, std::string_view("n+2\0\r\n\x1a\n", 8));
}

}  // namespace vg::detail
