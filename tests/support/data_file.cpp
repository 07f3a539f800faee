#include "support/data_file.hpp"

namespace vg::test {

std::filesystem::path source_folder() { return VOXGRAD_SOURCE_FOLDER; }

std::filesystem::path data_file(const std::string& name) { return source_folder() / "tests" / "data" / name; }

}  // namespace vg::test
