// Code that the fuzz targets share. A target reads arbitrary bytes. The result must be right, or one of voxgrad's
// exceptions must say what is wrong. Anything else (another exception, a sanitizer's report, a hang) is a finding.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "voxgrad/framework/base/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

/// Ends the run; libFuzzer then stores the input.
[[noreturn]] inline void finding(std::string_view what, std::string_view more = {}) {
  std::fprintf(stderr, "finding: %.*s%.*s\n", static_cast<int>(what.size()), what.data(), static_cast<int>(more.size()),
               more.data());
  std::abort();
}
/// Takes views, so that a condition that holds, as nearly always, needs no string.
inline void require(bool holds, std::string_view what, std::string_view more = {}) {
  if (!holds) finding(what, more);
}

/// A file in memory, for readers that open one.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) { require(fd_ >= 0, "no memory file"); }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path with(std::span<const std::uint8_t> bytes) {
    require(::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), "memory file: pwrite");
    // The file is truncated last, so that it keeps its pages from one input to the next.
    require(::ftruncate(fd_, static_cast<off_t>(bytes.size())) == 0, "memory file: ftruncate");
    return "/proc/self/fd/" + std::to_string(fd_);
  }

 private:
  int fd_;
};

/// Runs a reader, which may refuse with an IoError whose message begins with `where`.
template <class Read>
void read_or_refuse(std::string_view where, Read&& read) {
  try {
    read();
  } catch (const vg::IoError& e) {
    const std::string_view said = e.what();
    require(said.starts_with(where) && said.size() > where.size() + 3, "a message without place or reason: ", said);
  }
}

}  // namespace fuzz
