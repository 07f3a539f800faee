// Zip archives, as far as .npz needs them: PKWARE's APPNOTE with stored and deflated entries and zip64. Internal to
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

/// An entry whose place and sizes have been checked.
struct ZipEntry {
  std::string name;  ///< UTF-8
  bool deflated = false;
  std::uint32_t crc = 0;
  std::int64_t packed = 0;  ///< bytes in the file
  std::int64_t size = 0;    ///< bytes unpacked: no more than the packed ones can hold
  std::int64_t at = 0;      ///< of the packed bytes, from the file's start
};

/// The archive's entries in the directory's order; their bytes do not overlap. Throws IoError through `source`.
std::vector<ZipEntry> read_zip_directory(const RandomAccessFile& source);

/// The unpacked bytes of an entry, one after the other.
class ZipStream {
 public:
  /// Both outlive this.
  ZipStream(const RandomAccessFile& source, const ZipEntry& entry);
  ~ZipStream();
  /// Of the entry's `size` bytes, those not yet read.
  std::int64_t left() const { return left_; }
  /// Throws IoError when the stream is damaged or has fewer.
  void read(void* to, std::int64_t bytes);
  /// After the last byte: throws IoError unless the stream ends here and the checksum is right.
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

/// Writes an archive from the front.
class ZipWriter {
 public:
  /// Where sizes or offsets pass `limit`, zip64 records stand: tests lower it.
  ZipWriter(AtomicFile& file, bool deflate, std::uint64_t limit = 0xfffffffe)
      : file_(file), deflate_(deflate), limit_(limit) {}
  /// An entry of these pieces.
  void add(const std::string& name, const std::vector<std::string_view>& pieces);
  /// The directory; then the archive is complete.
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
