#include "framework/checkpoint_input.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "framework/error.hpp"

namespace vg::checkpoint {

namespace fs = std::filesystem;

namespace {
std::string reason(int error) { return std::generic_category().message(error); }
}  // namespace

InputFile::InputFile(const fs::path& path)
    : path_(path), buffer_(std::make_unique<char[]>(capacity)), next_(buffer_.get() + 1), end_(buffer_.get() + 1) {
  do fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) throw IoError(fmt::format("[checkpoint] load: cannot read {}: {}", path.string(), reason(errno)));
}

InputFile::~InputFile() { ::close(fd_); }

bool InputFile::refill() {
  if (at_end_) return false;
  char* const first = buffer_.get();
  before_ += end_ - (first + 1);
  lines_before_ += std::count(first, first + (end_ - first - 1), '\n');
  *first = end_[-1];
  ssize_t n = 0;
  do n = ::read(fd_, first + 1, capacity - 1);
  while (n < 0 && errno == EINTR);
  next_ = end_ = first + 1;
  if (n < 0) throw IoError(fmt::format("[checkpoint] load: cannot read {}: {}", path_.string(), reason(errno)));
  end_ += n;
  at_end_ = n == 0;
  return n != 0;
}

std::int64_t InputFile::offset() const { return std::max<std::int64_t>(0, before_ + (next_ - buffer_.get()) - 2); }

std::int64_t InputFile::line() const {
  return 1 + lines_before_ + std::count<const char*>(buffer_.get(), next_ - 1, '\n');
}

}  // namespace vg::checkpoint
