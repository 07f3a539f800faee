#include "voxgrad/framework/formats/named_tensors.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/checkpoint/restore.hpp"

namespace vg {

NamedTensors renamed(const NamedTensors& tensors, const std::vector<std::pair<std::string, std::string>>& rename) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  checkpoint::Problems problems;
  const auto selected = checkpoint::select_paths(names, "tensors", {.rename = rename}, problems);
  if (selected.size() != tensors.size()) problems.emplace_back("rename: a tensor would have the empty name");
  if (!problems.empty()) throw ValueError(fmt::format("[renamed] {}", fmt::join(problems, "; ")));
  NamedTensors out;
  for (const auto& [name, i] : selected) out.emplace_back(name, tensors[i].second);
  return out;
}

}  // namespace vg
