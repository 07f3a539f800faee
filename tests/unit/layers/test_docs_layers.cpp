// docs/layers.md lists every option of every layer with its default: the table is the layers' lists of fields.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <sstream>
#include <type_traits>

#include "support/page_table.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/layers/registry/registry_table.hpp"
#include "voxgrad/optim/optim.hpp"

namespace {

// "`in_size`, **`out_channels`**, `stride = 1`": required ones are bold.
std::string cell_of(const std::vector<vg::FieldInfo>& fields) {
  std::string cell;
  for (const vg::FieldInfo& f : fields) {
    const std::string mark = f.required ? "**" : "";
    cell += (cell.empty() ? "" : ", ") + mark + "`" + f.name + (f.value.empty() ? "" : " = " + f.value) + "`" + mark;
  }
  return cell;
}

// The rows of a table. Kinds with the same options share a row.
std::string table_of(const std::vector<std::pair<std::string_view, std::vector<vg::FieldInfo>>>& kinds_and_fields) {
  std::vector<std::pair<std::string, std::string>> rows;  // kinds, options
  for (const auto& [kind, fields] : kinds_and_fields) {
    const std::string cell = cell_of(fields);
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.second == cell; });
    if (row == rows.end())
      rows.emplace_back(kind, cell);
    else
      row->first += ", " + std::string(kind);
  }
  std::string table;
  for (const auto& [kinds, cell] : rows) table += "| " + kinds + " | " + (cell.empty() ? "none" : cell) + " |\n";
  return table;
}

}  // namespace

TEST_CASE("docs/layers.md: the table of options is the layers' lists of fields") {
  std::vector<std::pair<std::string_view, std::vector<vg::FieldInfo>>> layers;
  for (const vg::registry::LayerEntry& layer : vg::registry::layers()) layers.emplace_back(layer.kind, layer.fields());
  vg::test::check_page_table("layers.md",
                             "| layers | options with their defaults; required ones are bold |\n| --- | --- |\n",
                             table_of(layers));
  const std::string page = vg::test::read_bytes(vg::test::source_folder() / "docs" / "layers.md");
  // Each option has a row that says what it means.
  std::set<std::string> names;
  for (const vg::registry::LayerEntry& layer : vg::registry::layers())
    for (const vg::FieldInfo& f : layer.fields()) names.insert(f.name);
  CHECK(names.size() > 40);
  for (const std::string& name : names) CHECK_THAT(page, Catch::Matchers::Contains("\n| `" + name + "` | "));
}

TEST_CASE("docs/layers.md: the table of optimizers and schedules is their lists of fields") {
  using namespace vg;
  vg::test::check_page_table(
      "layers.md",
      "| optimizers and schedules | options with their defaults; required ones are bold |\n| --- | --- |\n",
      table_of({{"SGD", listed_fields<SGDOptions>()},
                {"Adagrad", listed_fields<AdagradOptions>()},
                {"RMSProp", listed_fields<RMSPropOptions>()},
                {"Adam", listed_fields<AdamOptions>()},
                {"AdamW", listed_fields<AdamWOptions>()},
                {"Adamax", listed_fields<AdamaxOptions>()},
                {"NAdam", listed_fields<NAdamOptions>()},
                {"RAdam", listed_fields<RAdamOptions>()},
                {"Lion", listed_fields<LionOptions>()},
                {"LAMB", listed_fields<LAMBOptions>()},
                {"Constant", listed_fields<ConstantOptions>()},
                {"StepDecay", listed_fields<StepDecayOptions>()},
                {"MultiStepDecay", listed_fields<MultiStepDecayOptions>()},
                {"Exponential", listed_fields<ExponentialOptions>()},
                {"CosineWarmup", listed_fields<CosineWarmupOptions>()},
                {"Polynomial", listed_fields<PolynomialOptions>()},
                {"CosineRestarts", listed_fields<CosineRestartsOptions>()},
                {"OneCycle", listed_fields<OneCycleOptions>()},
                {"ReduceOnPlateau", listed_fields<ReduceOnPlateauOptions>()}}));
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
