// Tests of environment variables. A program reads them once, so each test needs its own process.
#pragma once

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace vg::test {

/// The output of this program when it runs the hidden test `tag` with these variables: "NAME=value OTHER=value".
inline std::string run_self(const std::string& variables, const std::string& tag) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::FILE* pipe = ::popen((variables + " '" + self + "' '" + tag + "'").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("could not run " + self);
  std::string out;
  for (int c = 0; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  ::pclose(pipe);
  return out;
}

}  // namespace vg::test
