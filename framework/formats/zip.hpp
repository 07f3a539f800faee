// Zip archives as far as .npz needs them: PKWARE's APPNOTE with stored and deflated entries and zip64. Internal to
// framework/formats/.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/formats/random_access_file.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"

namespace vg::detail {

/// An entry whose position and sizes have been checked.
struct ZipEntry {
  std::string name;  ///< UTF-8
  bool deflated = false;
  std::uint32_t crc = 0;
  std::int64_t packed = 0;  ///< bytes in the file
  std::int64_t size = 0;    ///< unpacked bytes; no more than the packed ones can hold
  std::int64_t at = 0;      ///< the file offset of the packed bytes
};

/// The archive's entries in the directory's order; their bytes do not overlap. Throws IoError through `source`.
std::vector<ZipEntry> read_zip_directory(const RandomAccessFile& source);

/// Reads the unpacked bytes of an entry in order.
class ZipStream {
 public:
  /// Both arguments must outlive this object.
  ZipStream(const RandomAccessFile& source, const ZipEntry& entry);
  ~ZipStream();
  /// The number of the entry's `size` bytes that have not been read.
  std::int64_t left() const { return left_; }
  /// Reads the next `bytes` bytes. Throws IoError if the stream is damaged or has fewer.
  void read(void* to, std::int64_t bytes);
  /// Call it after the last byte. Throws IoError unless the stream ends here and the checksum is right.
  void finish();

 private:
  struct Inflate;
  void take_packed(unsigned char* to, std::int64_t bytes);
  void refill();
  void inflate(unsigned char* to, std::int64_t bytes);
  [[noreturn]] void fail(const std::string& what) const;

  const RandomAccessFile& source_;
  const ZipEntry& entry_;
  std::int64_t left_;
  std::int64_t packed_left_;
  std::uint32_t crc_ = 0;
  std::unique_ptr<Inflate> inflate_;
};

/// Writes an archive sequentially.
class ZipWriter {
 public:
  /// Writes zip64 records for sizes and offsets above `limit`, which tests lower.
  ZipWriter(AtomicFile& file, bool deflate, std::uint64_t limit = 0xfffffffe)
      : file_(file), deflate_(deflate), limit_(limit) {}
  /// Writes an entry whose data are the concatenated pieces.
  void add(const std::string& name, const std::vector<std::string_view>& pieces);
  /// Writes the directory, which completes the archive.
  void finish();

 private:
  struct Written {
    std::string name;
    std::uint32_t crc;
    std::uint64_t packed, size, at;
  };
  void put(std::string_view bytes);
  std::string record(const Written& entry, bool directory) const;

  AtomicFile& file_;
  bool deflate_;
  std::uint64_t limit_, at_ = 0;
  std::vector<Written> entries_;
};

}  // namespace vg::detail
