#include "voxgrad/layers/registry/state_dict.hpp"

#include <cstring>
#include <map>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/restore.hpp"
#include "voxgrad/layers/registry/torch_layout.hpp"

namespace vg {

namespace {

using checkpoint::Problems;
using detail::LayoutNames;
using detail::NamedLeaf;
using vg::in_quotes;

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.numel() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.bytes())) == 0;
}

// A tensor that fits, and the leaf that receives it.
struct Fit {
  NamedLeaf* to;
  const Tensor* from;
};

// Compares names, shapes and dtypes. Changes nothing.
std::vector<Fit> match(LayoutNames& names, const NamedTensors& tensors, const LoadOptions& options, LoadReport& report,
                       Problems& problems) {
  std::vector<std::string> paths;
  for (const auto& [name, tensor] : tensors) paths.push_back(name);
  std::map<std::string, const Tensor*, std::less<>> found;
  for (auto& [name, i] : checkpoint::select_paths(paths, "tensors", options, problems))
    found.emplace(std::move(name), &tensors[i].second);
  const auto take = [&](const std::string& name) {
    const auto it = found.find(name);
    const Tensor* tensor = it == found.end() ? nullptr : it->second;
    if (tensor != nullptr) found.erase(it);
    return tensor;
  };

  std::vector<Fit> fits;
  using Place = std::pair<const void*, std::string>;
  std::map<Place, const Tensor*> first;  // the first tensor of a state with several paths
  std::map<Place, std::string> absent;   // places for which no path has a tensor so far
  bool any_wanted = options.prefix.empty();
  for (NamedLeaf& l : names.leaves) {
    if (!path_fits(l.name, options.prefix)) continue;
    any_wanted = true;
    const Place place{l.state.identity(), l.leaf};
    const Tensor* from = take(l.name);
    const DType dtype = l.state[l.leaf].dtype();
    if (from == nullptr) {
      if (!first.contains(place)) absent.emplace(place, l.name);
    } else if (!from->defined() || from->dtype() != dtype || from->shape() != l.axes.there) {
      report.mismatched.push_back(fmt::format("{}: got {}, must be {}", l.name,
                                              from->defined() ? form(*from) : "no tensor", form(dtype, l.axes.there)));
      first.emplace(place, nullptr);
    } else if (const auto [it, is_first] = first.emplace(place, from); is_first) {
      report.loaded.push_back(l.name);
      fits.push_back({&l, from});
    } else if (it->second != nullptr && !same_bytes(*it->second, *from)) {
      report.mismatched.push_back(
          fmt::format("{}: is the same state as an earlier name, and its values differ", l.name));
    }
  }
  for (const auto& [place, name] : absent)
    if (!first.contains(place)) report.missing.push_back(name);
  for (const std::string& name : names.counters) take(name);
  for (const auto& [name, tensor] : found) report.unexpected.push_back(name);
  if (!any_wanted)
    problems.push_back(fmt::format("prefix: the module has no tensor below {}", in_quotes(options.prefix)));
  return fits;
}

void add_problems(const LayoutNames& names, const LoadReport& report, Problems& problems) {
  for (const std::string& name : report.missing)
    for (const NamedLeaf& l : names.leaves)
      if (l.name == name)
        problems.push_back(fmt::format("missing: the module has {} ({})", in_quotes(name),
                                       form(l.state[l.leaf].dtype(), l.axes.there)));
  for (const std::string& name : report.unexpected)
    problems.push_back(fmt::format("unexpected: the module has no {}", in_quotes(name)));
  for (const std::string& line : report.mismatched) problems.push_back(line);
}

// Advice for the message, if a likely mistake is found.
std::string hint(Module& model, const LayoutNames& names, const NamedTensors& tensors, StateLayout layout,
                 const LoadOptions& options) {
  if (names.leaves.empty())
    return "\n(the module has no tensors yet: layers without in_size get theirs by build(), or from a Sequential whose "
           "first layer has in_size)";
  const StateLayout other = layout == torch_layout ? voxgrad_layout : torch_layout;
  try {
    LayoutNames others = detail::layout_names(model, other);
    LoadReport report;
    Problems problems;
    match(others, tensors, options, report, problems);
    if (problems.empty() && report.complete())
      return fmt::format("\n(names and shapes are those of vg::{}_layout)",
                         other == torch_layout ? "torch" : "voxgrad");
  } catch (const ValueError&) {  // the other layout cannot hold the module
  }
  return "";
}

}  // namespace

NamedTensors state_dict(const Module& model, StateLayout layout) {
  const LayoutNames names = detail::layout_names(model, layout);
  NamedTensors tensors;
  for (const NamedLeaf& l : names.leaves) tensors.emplace_back(l.name, l.axes.forward(l.state[l.leaf].value()));
  for (const std::string& name : names.counters) tensors.emplace_back(name, Tensor::zeros({}, i32));
  return tensors;
}

LoadReport load_state_dict(Module& model, const NamedTensors& tensors, StateLayout layout, const LoadOptions& options) {
  LayoutNames names = detail::layout_names(model, layout);
  LoadReport report;
  Problems problems;
  const std::vector<Fit> fits = match(names, tensors, options, report, problems);
  if (options.strict) add_problems(names, report, problems);
  if (!problems.empty())
    throw ValueError(fmt::format(
        "[load_state_dict] the tensors do not fit and nothing was loaded; {} problem{}:\n  {}{}", problems.size(),
        problems.size() == 1 ? "" : "s", fmt::join(problems, "\n  "), hint(model, names, tensors, layout, options)));
  std::vector<Variable> values;  // allocate all memory before anything changes
  for (const Fit& fit : fits) {
    const Tensor value =
        fit.to->axes.order.empty() ? fit.to->axes.back(*fit.from).clone() : fit.to->axes.back(*fit.from);
    values.emplace_back(value, fit.to->state[fit.to->leaf].requires_grad());
  }
  for (std::size_t i = 0; i < fits.size(); ++i) fits[i].to->state.exchange(fits[i].to->leaf, values[i]);
  return report;
}

}  // namespace vg
