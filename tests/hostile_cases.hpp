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
  /// Makes the file in a folder.
  std::function<std::filesystem::path(const vg::test::TempDir&)> make;
  std::function<void(const std::filesystem::path&)> read;
  /// What the exception must say; empty: there must be none.
  std::vector<std::string> says{};
  /// The reader may take `times` the file's bytes and `extra` bytes more.
  std::size_t times = 1, extra = 64 * mib;
};

std::vector<Case> all_cases();

}  // namespace hostile
