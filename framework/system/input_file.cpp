#include "voxgrad/framework/system/input_file.hpp"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg::detail {

InputFile::InputFile(std::string_view where, const std::filesystem::path& path)
    : name_(fmt::format("{} {}", where, path.string())), file_(where, path) {
  make_window();
}

// The buffer is no larger than the file, because for a small file the time would mostly go into page faults. It is
// always large enough for need(), because a file may grow while it is read. It is not zeroed: only bytes that were read
// are used.
void InputFile::make_window() {
  capacity_ = std::clamp(static_cast<std::size_t>(file_.size()) + 1, least_capacity, capacity_);
  buffer_ = std::make_unique_for_overwrite<char[]>(capacity_ + 1);
  buffer_[0] = '\0';
  next_ = end_ = summed_ = buffer_.get();
}

void InputFile::fail() const { throw IoError(fmt::format("{}: {}", name_, std::generic_category().message(errno))); }

std::uint32_t InputFile::sum_before(std::size_t bytes) const {
  const auto count = static_cast<std::size_t>(next_ - summed_) - bytes;
  return static_cast<std::uint32_t>(::crc32_z(sum_, reinterpret_cast<const Bytef*>(summed_), count));
}

void InputFile::refill(std::size_t bytes) {
  char* const first = buffer_.get();
  const auto passed = std::min(passed_kept, next_ - first);
  const char* const from = next_ - passed;
  sum_ = sum_before(static_cast<std::size_t>(passed));
  before_ += from - first;
  lines_before_ += std::count<const char*>(first, from, '\n');
  const auto kept = static_cast<std::size_t>(end_ - from);
  std::memmove(first, from, kept);
  summed_ = first;
  next_ = first + passed;
  char* end = first + kept;
  while (!at_end_ && static_cast<std::size_t>(end - next_) < bytes) {
    const ssize_t n = ::read(file_.descriptor(), end, capacity_ - static_cast<std::size_t>(end - first));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail();
    end += n;
    at_end_ = n == 0;
  }
  *end = '\0';
  end_ = end;
}

std::int64_t InputFile::offset() const { return std::max<std::int64_t>(0, before_ + (next_ - buffer_.get()) - 1); }

// A newline itself belongs to the line that it ends.
std::int64_t InputFile::line() const {
  const char* const first = buffer_.get();
  const char* const last = std::max(first, next_ - 1);
  return 1 + lines_before_ + std::count<const char*>(first, last, '\n');
}

std::int64_t InputFile::left() const {
  return std::max<std::int64_t>(file_.size() - before_ - (next_ - buffer_.get()), end_ - next_);
}

}  // namespace vg::detail
