// docs/layers.md lists every option of every layer with the defaults of the headers.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <type_traits>

#include "support/data_file.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/layers/registry/registry_options.hpp"

using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

namespace {

struct Options {
  std::string cell;             // "`in_size`, **`out_channels`**, `stride = 1`": required ones are bold
  std::set<std::string> names;  // names of the members
};

// The options aggregates of layers/*.hpp by name. A member is one line: "type name = default;  ///< comment".
std::map<std::string, Options> options_of_headers() {
  std::map<std::string, Options> found;
  const std::regex begin("struct (\\w+Options) \\{"),
      member("  \\S.*?(\\w+)(?: = (.+?)|\\{\\});\\s*(///< required.*)?(///<.*)?"), comment("\\s*///.*");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(vg::test::source_folder() / "layers")) {
    if (entry.path().extension() != ".hpp" || entry.path().parent_path().filename() == "zoo") continue;
    std::istringstream text(vg::test::read_bytes(entry.path()));
    Options* open = nullptr;
    std::smatch m;
    for (std::string line; std::getline(text, line);) {
      if (line == "};") open = nullptr;
      if (std::regex_match(line, m, begin)) {
        open = &found[m[1]];
      } else if (open != nullptr && !std::regex_match(line, comment)) {
        INFO(entry.path().filename() << ": " << line);
        REQUIRE(std::regex_match(line, m, member));
        const bool required = m[3].matched;
        const std::string name = m[1], value = required ? "" : m[2].str(), mark = required ? "**" : "";
        open->cell += open->cell.empty() ? "" : ", ";
        open->cell += mark + "`" + name + (value.empty() ? "" : " = " + value) + "`" + mark;
        open->names.insert(name);
      }
    }
  }
  return found;
}

}  // namespace

TEST_CASE("docs/layers.md: the options of each layer are those of the headers") {
  const std::string page = vg::test::read_bytes(vg::test::source_folder() / "docs" / "layers.md");
  std::istringstream text(page);
  std::set<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.insert(line);
  const auto line_of = [&](const std::string& start) {
    const auto it = lines.lower_bound(start);
    return it != lines.end() && it->starts_with(start) ? *it : "no line begins with " + start;
  };
  const auto options = options_of_headers();
  CHECK(options.size() == 27);
  for (const auto& [name, o] : options) {
    const std::string line = line_of("| `" + name + "` | ");
    const std::string end = " | " + o.cell + " |";  // the expected end of the line
    CHECK_THAT(line, EndsWith(end));
    for (const std::string& member : o.names) CHECK_THAT(line_of("| `" + member + "` | "), StartsWith("| `"));
  }
  for (const std::string& kind : vg::registry::layer_kinds())
    CHECK_THAT(page, Catch::Matchers::Matches("[^]*\\b" + kind + "\\b[^]*"));
}

TEST_CASE("short forms: one number sets the main option") {
  using namespace vg;
  const auto same = [](const Module& a, const Module& b) { return a.kind() == b.kind() && a.options() == b.options(); };
  CHECK(same(MaxPool3d(2), MaxPool3d({.kernel_size = 2})));
  CHECK(same(AdaptiveAvgPool3d(3), AdaptiveAvgPool3d({.output_size = 3})));
  CHECK(same(AdaptiveMaxPool3d(3), AdaptiveMaxPool3d({.output_size = 3})));
  CHECK(same(Upsample(3), Upsample({.scale = 3})));
  CHECK(same(ZeroPad3d(-1), ZeroPad3d({.padding = -1})));
  CHECK(same(Linear(10), Linear({.out_features = 10})));
  CHECK(same(LeakyReLU(0.2), LeakyReLU({.negative_slope = 0.2})));
  CHECK(same(ELU(0.5), ELU({.alpha = 0.5})));
  CHECK_THROWS_WITH(MaxPool3d(0), Catch::Matchers::Contains("[MaxPool3d] kernel_size"));
  CHECK_THROWS_WITH(Linear(-1), Catch::Matchers::Contains("[Linear] out_features: got -1"));
  // A single number would have different meanings in brainstate and in PyTorch.
  CHECK_FALSE(std::is_constructible_v<AvgPool3d, int>);
  CHECK_FALSE(std::is_constructible_v<Dropout, double>);
  CHECK_FALSE(std::is_constructible_v<GroupNorm, int>);
  CHECK_FALSE(std::is_constructible_v<MaxPool3d, bool>);
  CHECK_FALSE(std::is_constructible_v<MaxPool3d, double>);
}
