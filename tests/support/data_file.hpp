// The files of the checkout that tests read. Only data_file.cpp is compiled with the checkout's path, so that the
// objects of other tests do not depend on it.
#pragma once

#include <filesystem>
#include <string>

namespace vg::test {

/// The root of the checkout.
std::filesystem::path source_folder();
/// tests/data/NAME.
std::filesystem::path data_file(const std::string& name);

}  // namespace vg::test
