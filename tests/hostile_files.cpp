// Malicious files: small ones that claim much data, names with colliding hashes, paths that are not regular files. Each
// case runs in a child process whose additional address space is limited in proportion to the file, and which is killed
// after some seconds. A reader must return its result or throw within both limits.
//
// usage: hostile_files [NAME] runs only the cases whose names contain NAME.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "hostile_cases.hpp"

namespace {

namespace fs = std::filesystem;
using hostile::Case;
using vg::test::TempDir;

constexpr int seconds = 5;

// ------------------------------------------------------------------------------------------------------------ running

/// The address space that this process uses, in bytes.
std::size_t address_space() {
  std::size_t pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%zu", &pages) != 1) std::abort();
  std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Runs the case in the child and writes its message to `fd`. Does not return.
[[noreturn]] void run_child(const Case& c, const fs::path& path, std::size_t bytes, int fd) {
  const rlimit limit{address_space() + bytes, address_space() + bytes};
  std::string said;
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::abort();
  try {
    c.read(path);
    said = "it was read";
  } catch (const std::exception& e) {
    said = e.what();
  }
  said.resize(std::min<std::size_t>(said.size(), 4000));
  const bool written = ::write(fd, said.data(), said.size()) == static_cast<ssize_t>(said.size());
  ::_exit(written ? 0 : 1);
}

/// Whether the child ends in time; otherwise kills it.
bool ends(pid_t child, int& status) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > until) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// The problem that was found; empty if there is none.
std::string run(const Case& c) {
  const TempDir folder;
  const fs::path path = c.make(folder);
  const std::size_t size = fs::is_regular_file(path) ? fs::file_size(path) : 0;
  std::array<int, 2> ends_of_pipe{};
  if (::pipe(ends_of_pipe.data()) != 0) return "no pipe";
  std::fflush(nullptr);
  ::malloc_trim(0);  // otherwise the child could use memory that was freed after making the file
  const pid_t child = ::fork();
  if (child == 0) run_child(c, path, c.times * size + c.extra, ends_of_pipe[1]);
  ::close(ends_of_pipe[1]);
  int status = 0;
  const bool ended = ends(child, status);
  std::string said(4096, '\0');
  const ssize_t got = ::read(ends_of_pipe[0], said.data(), said.size());
  said.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  ::close(ends_of_pipe[0]);
  if (!ended) return fmt::format("it does not end within {} s", seconds);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fmt::format("it ended with status {:#x}: {}", status, said);
  if (c.says.empty() && said != "it was read") return said;
  for (const std::string& part : c.says)
    if (said.find(part) == std::string::npos) return fmt::format("without \"{}\": {}", part, said);
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  int failures = 0, run_ones = 0;
  for (const Case& c : hostile::all_cases()) {
    if (argc > 1 && c.name.find(argv[1]) == std::string::npos) continue;
    ++run_ones;
    if (const std::string wrong = run(c); !wrong.empty()) {
      fmt::print("{}\n    {}\n", c.name, wrong);
      ++failures;
    }
  }
  fmt::print("{} of {} cases failed\n", failures, run_ones);
  return failures == 0 && run_ones > 0 ? 0 : 1;
}
