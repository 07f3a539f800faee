#include "voxgrad/framework/base/out_of_memory.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <iterator>

#include <fmt/format.h>

#include "voxgrad/framework/base/op_guard.hpp"

namespace vg {

namespace {

// A text of limited length, stored in the object itself.
class Line {
 public:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    const auto room = static_cast<std::size_t>(text_.data() + text_.size() - end_);
    const std::size_t wanted = fmt::format_to_n(end_, room, format, std::forward<Args>(args)...).size;
    end_ += wanted < room ? wanted : room;
  }
  void add_bytes(double bytes) {
    constexpr std::array units{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    for (; bytes >= 1024 && unit + 1 < units.size(); ++unit) bytes /= 1024;
    add("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, units[unit]);
  }
  std::string_view text() const { return {text_.data(), static_cast<std::size_t>(end_ - text_.data())}; }

 private:
  std::array<char, 512> text_;
  char* end_ = text_.data();
};

// Reads the beginning of a file of /proc.
std::string_view read_start(const char* path, std::array<char, 1024>& into) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t n = ::read(fd, into.data(), into.size());
  ::close(fd);
  return {into.data(), n > 0 ? static_cast<std::size_t>(n) : 0};
}

// The number after `name` in the text of /proc/meminfo, in bytes; 0 if it is missing.
double bytes_of(std::string_view text, std::string_view name) {
  std::size_t at = text.find(name);
  if (at == text.npos) return 0;
  at = text.find_first_not_of(' ', at + name.size());
  double kib = 0;
  if (at != text.npos) std::from_chars(text.data() + at, text.data() + text.size(), kib);
  return kib * 1024;
}

}  // namespace

MemoryError out_of_memory(std::string_view what, std::size_t bytes) noexcept {
  Line line;
  if (const std::string_view op = OpGuard::current(); !op.empty()) line.add("[{}] ", op);
  line.add("out of memory: {} needs {} bytes", what, bytes);
  if (bytes >= 1024) line.add(" ("), line.add_bytes(static_cast<double>(bytes)), line.add(")");
  std::array<char, 1024> buffer;
  const std::string_view memory = read_start("/proc/meminfo", buffer);
  if (const double total = bytes_of(memory, "MemTotal:"); total > 0) {
    line.add("; the machine has "), line.add_bytes(total);
    line.add(", of which "), line.add_bytes(bytes_of(memory, "MemAvailable:")), line.add(" are available");
  }
  if (rlimit limit{}; getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    line.add("; the process may use "), line.add_bytes(static_cast<double>(limit.rlim_cur));
    line.add(" of addresses (ulimit -v)");
  }
  return MemoryError(line.text());
}

}  // namespace vg
