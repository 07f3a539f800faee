// Random access to a reader's input, which is a file or memory. Internal to framework/formats/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "voxgrad/framework/system/regular_file.hpp"

namespace vg::detail {

class RandomAccessFile {
 public:
  /// Opens a file. Messages begin with `where`, such as "[read_npz]". Throws IoError if the file is missing, cannot be
  /// opened or is not regular.
  RandomAccessFile(std::string where, const std::filesystem::path& path);
  /// Reads memory, which must outlive this object; messages call it `name`.
  RandomAccessFile(std::string where, std::string name, std::span<const unsigned char> bytes);
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;

  std::int64_t size() const { return size_; }
  /// Copies the bytes [at, at + bytes) to `to`. Throws IoError, saying that the file ends within `what`, if they are
  /// not there.
  void read(std::int64_t at, void* to, std::int64_t bytes, const char* what) const;
  /// A guess at the format by the first bytes, as the end of a message; see file_signature.hpp.
  std::string looks_like() const;
  /// Throws IoError with the message "[read_npz] weights.npz: " and `what`.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string where_, name_;
  std::span<const unsigned char> memory_;
  detail::RegularFile file_;
  std::int64_t size_ = 0;
};

}  // namespace vg::detail
