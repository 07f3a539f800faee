#include "support/data_file.hpp"

namespace test {

std::filesystem::path source_folder() { return VOXGRAD_SOURCE_FOLDER; }

std::filesystem::path data_file(const std::string& name) { return source_folder() / "tests" / "data" / name; }

}  // namespace test
