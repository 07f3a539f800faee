// docs/walks.md follows calls through the sources: each hop names functions that its file has.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/data_file.hpp"
#include "support/temp_dir.hpp"

namespace {

struct Hop {
  std::string file;
  std::vector<std::string> functions;
};

// The hops of each walk, by its title: lines "1. `file`: `function`, `function`. What they do."
std::map<std::string, std::vector<Hop>> walks_of(const std::string& page) {
  std::map<std::string, std::vector<Hop>> walks;
  std::string title;
  std::istringstream lines(page);
  const std::regex hop("\\d+\\. `([^`]+)`: ((?:`[^`]+`(?:, | and )?)+)\\..*"), quoted("`([^`]+)`");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) title = line.substr(3);
    if (line.empty() || std::isdigit(static_cast<unsigned char>(line[0])) == 0) continue;
    INFO(line);
    std::smatch m;
    REQUIRE(std::regex_match(line, m, hop));
    Hop& made = walks[title].emplace_back(Hop{m[1], {}});
    const std::string names = m[2];
    for (std::sregex_iterator it(names.begin(), names.end(), quoted), end; it != end; ++it)
      made.functions.push_back((*it)[1]);
  }
  return walks;
}

}  // namespace

TEST_CASE("docs/walks.md: every hop is in its file, and no walk is longer than 12 hops or enters a file twice") {
  const auto root = vg::test::source_folder();
  const auto walks = walks_of(vg::test::read_bytes(root / "docs" / "walks.md"));
  CHECK(walks.size() == 6);
  for (const auto& [title, hops] : walks) {
    CAPTURE(title);
    CHECK(hops.size() >= 2);
    CHECK(hops.size() <= 12);
    std::set<std::string> files;
    for (const Hop& hop : hops) {
      CAPTURE(hop.file);
      CHECK(files.insert(hop.file).second);
      REQUIRE(std::filesystem::exists(root / hop.file));
      const std::string text = vg::test::read_bytes(root / hop.file);
      for (const std::string& function : hop.functions) {
        const auto colon = function.rfind("::");
        const std::string name = colon == std::string::npos ? function : function.substr(colon + 2);
        CAPTURE(function);
        CHECK(std::regex_search(text, std::regex("\\b" + name + "\\(")));
      }
    }
  }
}
