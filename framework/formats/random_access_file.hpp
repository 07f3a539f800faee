// Where a reader's bytes come from: a file or memory, at any offset. Internal to framework/formats/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "voxgrad/framework/system/regular_file.hpp"

namespace vg::detail {

class RandomAccessFile {
 public:
  /// A file. `where` begins the messages: "[read_npz]". Throws IoError when it is missing, cannot be opened or is not
  /// regular.
  RandomAccessFile(std::string where, const std::filesystem::path& path);
  /// Memory that outlives this, called `name` in messages.
  RandomAccessFile(std::string where, std::string name, std::span<const unsigned char> bytes);
  RandomAccessFile(const RandomAccessFile&) = delete;
  RandomAccessFile& operator=(const RandomAccessFile&) = delete;

  std::int64_t size() const { return size_; }
  /// Throws IoError, saying that the file ends within `what`, unless [at, at + bytes) is there.
  void read(std::int64_t at, void* to, std::int64_t bytes, const char* what) const;
  /// What its first bytes look like, as the end of a message; see file_signature.hpp.
  std::string looks_like() const;
  /// Throws IoError: "[read_npz] weights.npz: " and `what`.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string where_, name_;
  std::span<const unsigned char> memory_;
  detail::RegularFile file_;
  std::int64_t size_ = 0;
};

}  // namespace vg::detail
