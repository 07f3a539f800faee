// The cases of hostile_files.cpp.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/temp_dir.hpp"

namespace hostile {

inline constexpr std::size_t mib = std::size_t{1} << 20;

struct Case {
  std::string name;
  /// Makes the file in a folder and returns its path.
  std::function<std::filesystem::path(const vg::test::TempDir&)> make;
  std::function<void(const std::filesystem::path&)> read;
  /// Texts that the message must contain; empty: the reader must not throw.
  std::vector<std::string> says{};
  /// The reader may use `times` the size of the file plus `extra` bytes.
  std::size_t times = 1, extra = 64 * mib;
};

std::vector<Case> all_cases();

}  // namespace hostile
