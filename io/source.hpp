// Where a reader's bytes come from: a file or memory, at any offset. Internal to io/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace vg::detail {

class Source {
 public:
  /// A regular file. `where` begins the messages: "[read_npz]". Throws IoError when it is missing or cannot be opened.
  Source(std::string where, const std::filesystem::path& path);
  /// Memory that outlives this, called `name` in messages.
  Source(std::string where, std::string name, std::span<const unsigned char> bytes);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  std::int64_t size() const { return size_; }
  /// Throws IoError, saying that the file ends within `what`, unless [at, at + bytes) is there.
  void read(std::int64_t at, void* to, std::int64_t bytes, const char* what) const;
  /// Throws IoError: "[read_npz] weights.npz: " and `what`.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string where_, name_;
  std::span<const unsigned char> memory_;
  std::int64_t size_ = 0;
  int fd_ = -1;
};

}  // namespace vg::detail
