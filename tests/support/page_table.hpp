// Tables of the documentation that derive from the code.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>

#include "support/data_file.hpp"
#include "support/temp_dir.hpp"

namespace vg::test {

/// Checks that the rows after the head of a table, "| a | b |\n| --- | --- |\n", in docs/NAME are `rows`. With
/// VOXGRAD_WRITE_DOCS=1 in the environment it writes them there first.
inline void check_page_table(const std::string& name, const std::string& head, const std::string& rows) {
  const std::filesystem::path path = source_folder() / "docs" / name;
  std::string page = read_bytes(path);
  const std::size_t at = page.find(head);
  INFO("VOXGRAD_WRITE_DOCS=1 voxgrad_tests \"docs/*\" writes the table of docs/" << name);
  REQUIRE(at != std::string::npos);
  const std::size_t begin = at + head.size(), end = page[begin] == '\n' ? begin : page.find("\n\n", begin) + 1;
  if (std::getenv("VOXGRAD_WRITE_DOCS") != nullptr)
    std::ofstream(path, std::ios::binary) << page.replace(begin, end - begin, rows);
  else
    CHECK(page.substr(begin, end - begin) == rows);
}

}  // namespace vg::test
