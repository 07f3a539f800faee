// The files that tests keep in tests/data.
#pragma once

#include <filesystem>
#include <string>

namespace test {

/// tests/data/NAME.
inline std::filesystem::path data_file(const std::string& name) {
  return std::filesystem::path(VOXGRAD_TEST_DATA) / "data" / name;
}

}  // namespace test
