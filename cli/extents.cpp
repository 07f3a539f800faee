#include "cli/extents.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <variant>
#include <vector>

namespace command {

namespace {

using Factors = std::array<double, 3>;

struct Way {
  Factors now{1, 1, 1};   ///< the extents so far are divided by this
  Factors most{1, 1, 1};  ///< the largest value of `now`
};

/// The option as three numbers; ones if it is missing.
Factors factors(const vg::ModuleConfig& d, std::string_view option) {
  Factors out{1, 1, 1};
  for (const auto& [name, value] : d.options) {
    const auto* list = std::get_if<std::vector<std::int64_t>>(&value);
    if (name != option || list == nullptr || list->size() != 3) continue;
    for (std::size_t i = 0; i < 3; ++i) out[i] = static_cast<double>(std::max<std::int64_t>(1, (*list)[i]));
  }
  return out;
}

void walk(const vg::ModuleConfig& d, Way& way) {
  const Way before = way;
  const Factors stride = factors(d, "stride"), scale = factors(d, "scale");
  const bool up = d.kind == "ConvTranspose3d";
  bool changes = false;
  for (std::size_t i = 0; i < 3; ++i) {
    way.now[i] *= (up ? 1 / stride[i] : stride[i]) / scale[i];
    way.most[i] = std::max(way.most[i], way.now[i]);
    changes = changes || stride[i] != 1;
  }
  if (changes) return;  // the layers within a block share the block's strides
  for (const auto& [name, child] : d.children) {
    if (d.kind != "Branches") {
      walk(child, way);
      continue;
    }
    Way branch = before;
    walk(child, branch);
    for (std::size_t i = 0; i < 3; ++i) way.most[i] = std::max(way.most[i], branch.most[i]);
    way.now = branch.now;
  }
}

}  // namespace

vg::Triple multiples_of(const vg::ModuleConfig& description) {
  Way way;
  walk(description, way);
  vg::Triple out{};
  for (std::size_t i = 0; i < 3; ++i) out[i] = std::llround(std::min(way.most[i], 1e6));
  return out;
}

}  // namespace command
