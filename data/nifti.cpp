#include "voxgrad/data/nifti.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/data/nifti_header.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/formats/claimed_bytes.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"
#include "voxgrad/framework/system/file_signature.hpp"
#include "voxgrad/framework/system/regular_file.hpp"

namespace vg {

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<unsigned char>;

constexpr std::int64_t planes_a_block = 16;  // of one channel: 16 adjacent values fill a cache line of the result
constexpr std::int64_t bytes_a_block = std::int64_t{1} << 23;
constexpr std::int64_t largest_read = std::int64_t{1} << 26;  // zlib counts in unsigned int
constexpr std::int64_t deflate_limit = 1032;                  // deflate never expands more than this

/// Calls f with a value of the C++ type of a stored voxel.
template <class F>
void dispatch_stored(NiftiType type, F&& f) {
  switch (type) {
    case NiftiType::uint8:
      return f(std::uint8_t{});
    case NiftiType::int8:
      return f(std::int8_t{});
    case NiftiType::int16:
      return f(std::int16_t{});
    case NiftiType::uint16:
      return f(std::uint16_t{});
    case NiftiType::int32:
      return f(std::int32_t{});
    case NiftiType::uint32:
      return f(std::uint32_t{});
    case NiftiType::int64:
      return f(std::int64_t{});
    case NiftiType::uint64:
      return f(std::uint64_t{});
    case NiftiType::float32:
      return f(float{});
    case NiftiType::float64:
      return f(double{});
  }
}

/// A plain or gzip file, read sequentially.
class Reader {
 public:
  explicit Reader(const fs::path& path) : name_(path.string()) {
    detail::RegularFile file("[read_nifti]", path);
    file_bytes_ = file.size();
    if (file_bytes_ == 0) fail("the file is empty");
    file_.reset(gzdopen(file.descriptor(), "rb"));
    if (!file_) fail(fmt::format("could not open it: {}", std::strerror(errno)));
    file.release();  // gzclose() closes it
    gzbuffer(file_.get(), static_cast<unsigned>(std::clamp<std::int64_t>(file_bytes_, 1 << 12, 1 << 17)));
  }

  const std::string& name() const { return name_; }

  /// Throws IoError, naming the bytes by `what`, unless the file has `bytes` more.
  void read(void* to, std::int64_t bytes, const char* what) {
    auto* out = static_cast<unsigned char*>(to);
    while (bytes > 0) {
      const int got = gzread(file_.get(), out, static_cast<unsigned>(std::min(bytes, largest_read)));
      if (got <= 0) fail_read(what);
      out += got;
      bytes -= got;
    }
  }
  void skip(std::int64_t bytes, const char* what) {
    Bytes nothing(static_cast<std::size_t>(std::min<std::int64_t>(bytes, 1 << 16)));
    for (std::int64_t left = bytes; left > 0; left -= static_cast<std::int64_t>(nothing.size()))
      read(nothing.data(), std::min(left, static_cast<std::int64_t>(nothing.size())), what);
  }
  /// Valid once something was read.
  bool compressed() const { return gzdirect(file_.get()) == 0; }
  /// Throws IoError if the file cannot hold so many bytes. Call it before memory is allocated for them.
  void expect(std::int64_t bytes) const {
    const bool plain = !compressed();
    const std::int64_t most =
        plain || file_bytes_ < INT64_MAX / deflate_limit ? file_bytes_ * (plain ? 1 : deflate_limit) : INT64_MAX;
    if (bytes > most)
      fail(
          fmt::format("truncated, or its header is damaged: the header declares {} bytes of header and data; the file "
                      "has {} bytes{}",
                      bytes, file_bytes_, plain ? "" : " of gzip"));
  }
  /// Reads past the data, so that the checksum of a gzip stream that ends there is checked.
  void finish() {
    unsigned char byte = 0;
    gzread(file_.get(), &byte, 1);
    int code = Z_OK;  // gzread returns 0, not -1, for a stream that ends within its checksum
    gzerror(file_.get(), &code);
    if (code != Z_OK && code != Z_STREAM_END) fail_read("the end of its gzip stream");
  }
  /// A guess at the format of the unpacked file, which begins with `first`; see file_signature.hpp.
  std::string looks_like(std::span<const unsigned char> first) {
    std::string front(first.begin(), first.end());
    const std::size_t begun = front.size();
    front.resize(detail::signature_bytes);
    const int more = gzread(file_.get(), front.data() + begun, static_cast<unsigned>(front.size() - begun));
    front.resize(begun + static_cast<std::size_t>(std::max(more, 0)));
    return detail::looks_like(front);
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw IoError(fmt::format("[read_nifti] {}: {}", name_, what));
  }

 private:
  [[noreturn]] void fail_read(const char* what) const {
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    if (code == Z_ERRNO) fail(fmt::format("reading {}: {}", what, std::strerror(errno)));
    if (code == Z_OK || code == Z_BUF_ERROR) fail(fmt::format("truncated: it ends within {}", what));
    fail(fmt::format("damaged gzip stream, reading {}: {}", what, message));
  }
  struct Close {
    void operator()(gzFile f) const { gzclose(f); }
  };

  std::string name_;
  std::int64_t file_bytes_ = 0;
  std::unique_ptr<std::remove_pointer_t<gzFile>, Close> file_;
};

/// Loads a stored value from any address, in the other byte order if `swapped`.
template <class T>
T load(const unsigned char* from, bool swapped) {
  std::array<unsigned char, sizeof(T)> raw;
  std::copy_n(from, sizeof(T), raw.begin());
  if (swapped) std::reverse(raw.begin(), raw.end());
  return std::bit_cast<T>(raw);
}

template <class T>
T converted(double value, const Reader& file, const std::array<std::int64_t, 4>& at) {
  if constexpr (std::is_same_v<T, std::int32_t>) {
    if (!(value >= -2147483648.0 && value <= 2147483647.0 && std::trunc(value) == value))
      file.fail(fmt::format(
          "voxel ({}, {}, {}), channel {}, is {}; read as labels (i32) every value must be a whole number of 32 bits",
          at[0], at[1], at[2], at[3], value));
  }
  (void)file, (void)at;
  return static_cast<T>(value);
}

/// A part of one channel's voxels whose bytes are contiguous in the file: x is the fastest axis, then y, then z.
struct Box {
  Triple begin, size;
  std::int64_t channel;
};

/// Copies a box to its place in the (x, y, z, channel) data.
template <class FileDType, class T>
void place(const Bytes& raw, const Box& box, const Reader& file, const detail::NiftiHeader& h, T* out) {
  const auto [width, height, depth] = h.extent;
  const auto [nx, ny, nz] = box.size;
  for (std::int64_t i = 0; i < nx; ++i)
    for (std::int64_t j = 0; j < ny; ++j) {
      const std::int64_t x = box.begin[0] + i, y = box.begin[1] + j, z = box.begin[2];
      const unsigned char* from = raw.data() + (j * nx + i) * static_cast<std::int64_t>(sizeof(FileDType));
      const std::int64_t step = nx * ny * static_cast<std::int64_t>(sizeof(FileDType));
      T* to = out + ((x * height + y) * depth + z) * h.channels + box.channel;
      for (std::int64_t k = 0; k < nz; ++k) {
        const double value = static_cast<double>(load<FileDType>(from + k * step, h.swapped)) * h.slope + h.intercept;
        to[k * h.channels] = converted<T>(value, file, {x, y, z + k, box.channel});
      }
    }
}

/// Calls f(box) for the boxes of a channel in the file's order. A box has several whole planes; if a plane has more
/// than `most` voxels, several rows of it; and if a row has more, a part of it.
template <class F>
void each_box(const detail::NiftiHeader& h, std::int64_t channel, std::int64_t most, F&& f) {
  const auto [width, height, depth] = h.extent;
  const std::int64_t sx = std::min(width, most), sy = sx < width ? 1 : std::min(height, most / width);
  const std::int64_t sz = sy < height ? 1 : std::min({depth, most / (width * height), planes_a_block});
  for (std::int64_t z = 0; z < depth; z += sz)
    for (std::int64_t y = 0; y < height; y += sy)
      for (std::int64_t x = 0; x < width; x += sx)
        f(Box{{x, y, z}, {std::min(sx, width - x), std::min(sy, height - y), std::min(sz, depth - z)}, channel});
}

void read_voxels(const Reader& file, detail::ClaimedBytes& voxels, const detail::NiftiHeader& h, Tensor& data) {
  const std::int64_t bytes = detail::size_of(h.type);
  Bytes raw;
  for (std::int64_t channel = 0; channel < h.channels; ++channel)
    each_box(h, channel, bytes_a_block / bytes, [&](const Box& box) {
      raw.resize(static_cast<std::size_t>(box.size[0] * box.size[1] * box.size[2] * bytes));
      voxels.read(raw.data(), static_cast<std::int64_t>(raw.size()));
      dispatch_stored(h.type, [&](auto stored) {
        dispatch(data.dtype(),
                 [&](auto zero) { place<decltype(stored)>(raw, box, file, h, data.data<decltype(zero)>()); });
      });
    });
}

/// A file that is written through zlib, compressed or plain ("T").
class Writer {
 public:
  Writer(AtomicFile& target, bool compress) : target_(target) {
    const int copy = ::dup(target.descriptor());  // gzclose closes it; the AtomicFile keeps its own
    if (copy < 0) target.fail(errno);
    file_ = gzdopen(copy, compress ? "wb" : "wbT");
    if (file_ == nullptr) {
      ::close(copy);
      target.fail(errno);
    }
    gzbuffer(file_, 1 << 17);
  }
  ~Writer() {
    if (file_ != nullptr) gzclose(file_);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void write(const void* from, std::int64_t bytes) {
    const auto* in = static_cast<const unsigned char*>(from);
    while (bytes > 0) {
      const int put = gzwrite(file_, in, static_cast<unsigned>(std::min(bytes, largest_read)));
      if (put <= 0) target_.fail(errno);
      in += put;
      bytes -= put;
    }
  }
  void close() {
    if (gzclose(std::exchange(file_, nullptr)) != Z_OK) target_.fail(errno);
  }

 private:
  const NoFileSizeSignal failure_only_;  // failure_only_: zlib writes here, not target_
  AtomicFile& target_;
  gzFile file_ = nullptr;
};

/// Throws ValueError unless the stored type can hold the value.
template <class FileDType>
void check_holds(double value, const std::array<std::int64_t, 4>& at, NiftiType type) {
  if constexpr (std::is_integral_v<FileDType>) {
    // 2^bits is exact as a double; the type's largest value may not be.
    constexpr double above = 2.0 * static_cast<double>(std::numeric_limits<FileDType>::max() / 2 + 1);
    if (!(value >= static_cast<double>(std::numeric_limits<FileDType>::min()) && value < above &&
          std::trunc(value) == value))
      throw ValueError(fmt::format("[write_nifti] voxel ({}, {}, {}), channel {}: got {}, which {} does not hold",
                                   at[0], at[1], at[2], at[3], value, detail::name_of(type)));
  }
  (void)value, (void)at, (void)type;
}

/// Collects the planes [first, first + planes) of one channel as [z][y][x] and converts them to the stored type.
template <class FileDType, class T>
void collect(const Volume& volume, const T* data, std::int64_t first, std::int64_t planes, std::int64_t channel,
             NiftiType type, unsigned char* out) {
  const auto [width, height, depth] = volume.extent();
  const std::int64_t channels = volume.channels();
  for (std::int64_t x = 0; x < width; ++x)
    for (std::int64_t y = 0; y < height; ++y) {
      const T* from = data + ((x * height + y) * depth + first) * channels + channel;
      for (std::int64_t z = 0; z < planes; ++z) {
        const auto value = static_cast<double>(from[z * channels]);
        check_holds<FileDType>(value, {x, y, first + z, channel}, type);
        const auto stored = static_cast<FileDType>(value);
        std::memcpy(out + ((z * height + y) * width + x) * static_cast<std::int64_t>(sizeof(FileDType)), &stored,
                    sizeof(FileDType));
      }
    }
}

void write_voxels(Writer& file, const Volume& volume, NiftiType type) {
  const Triple extent = volume.extent();
  const std::int64_t plane_bytes = extent[0] * extent[1] * detail::size_of(type);
  const std::int64_t step = std::min(planes_a_block, extent[2]);
  Bytes raw(static_cast<std::size_t>(plane_bytes * step));
  for (std::int64_t channel = 0; channel < volume.channels(); ++channel)
    for (std::int64_t first = 0; first < extent[2]; first += step) {
      const std::int64_t planes = std::min(step, extent[2] - first);
      dispatch_stored(type, [&](auto stored) {
        dispatch(volume.data.dtype(), [&](auto zero) {
          collect<decltype(stored)>(volume, volume.data.data<decltype(zero)>(), first, planes, channel, type,
                                    raw.data());
        });
      });
      file.write(raw.data(), plane_bytes * planes);
    }
}

NiftiType stored_type(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return NiftiType::float64;
    case DType::i32:
      return NiftiType::int32;
    default:
      return NiftiType::float32;
  }
}

}  // namespace

namespace {
// The size of the header that begins with these bytes. For another kind of file, the message guesses its format.
std::size_t header_size(Reader& file, std::span<const unsigned char, 4> first) {
  try {
    return detail::nifti_header_size(file.name(), first);
  } catch (const IoError& e) {
    throw IoError(e.what() + file.looks_like(first));
  }
}
}  // namespace

Volume read_nifti(const std::filesystem::path& path, DType dtype) {
  Reader file(path);
  std::array<unsigned char, detail::nifti2_header_bytes> bytes{};
  file.read(bytes.data(), 4, "its header");
  const std::size_t size = header_size(file, std::span(bytes).first<4>());
  file.read(bytes.data() + 4, static_cast<std::int64_t>(size) - 4, "its header");
  const detail::NiftiHeader h = detail::parse_nifti_header(file.name(), std::span(bytes).first(size));
  file.expect(h.data_offset + h.data_bytes);
  file.skip(h.data_offset - static_cast<std::int64_t>(size), "the bytes between its header and its voxels");
  detail::ClaimedBytes voxels([&](void* to, std::int64_t n) { file.read(to, n, "its voxels"); },
                              file.compressed() ? h.data_bytes : 0);
  Shape shape{h.extent[0], h.extent[1], h.extent[2]};
  if (h.rank > 3) shape.push_back(h.channels);
  Volume volume{Tensor(shape, dtype), h.affine};
  read_voxels(file, voxels, h, volume.data);
  file.finish();
  return volume;
}

Volume read_nifti_labels(const std::filesystem::path& path) { return read_nifti(path, i32); }

void write_nifti(const std::filesystem::path& path, const Volume& volume, std::optional<NiftiType> type) {
  const std::string name = path.filename().string();
  const bool compress = name.ends_with(".nii.gz");
  if (!compress && !name.ends_with(".nii"))
    throw ValueError(fmt::format("[write_nifti] path: got {}; its name must end in .nii or .nii.gz", path.string()));
  volume.extent();  // throws for a wrong rank
  if (volume.data.numel() == 0)
    throw ValueError(
        fmt::format("[write_nifti] data: got shape {}; an empty volume cannot be written", volume.data.shape().str()));
  const NiftiType stored = type.value_or(stored_type(volume.data.dtype()));
  const std::string header = detail::make_nifti_header(volume, stored);
  AtomicFile target("[write_nifti]", path);
  Writer file(target, compress);
  file.write(header.data(), static_cast<std::int64_t>(header.size()));
  write_voxels(file, volume, stored);
  file.close();
  target.commit();
}

}  // namespace vg
