#include "voxgrad/layers/registry/torch_layout.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/containers/sequential.hpp"
#include "voxgrad/layers/conv/conv_transpose3d.hpp"
#include "voxgrad/layers/conv/weight_norm_conv3d.hpp"
#include "voxgrad/layers/linear.hpp"
#include "voxgrad/layers/norm.hpp"
#include "voxgrad/layers/prelu.hpp"
#include "voxgrad/layers/reshape.hpp"

namespace vg::detail {

namespace {

Tensor transposed(const Tensor& t, const std::vector<int>& order) {
  const NoGradGuard values_only;
  return transpose(Variable(t), order).value();
}

AxisMap unchanged(const Shape& here) { return {here, here, {}, here}; }
AxisMap reshaped(const Shape& here, const Shape& there) { return {here, here, {}, there}; }
AxisMap permuted(const Shape& here, std::vector<int> order) {
  std::vector<std::int64_t> there;
  for (const int axis : order) there.push_back(here.at(axis));
  return {here, here, std::move(order), Shape(there)};
}

template <class T>
T option(const Module& m, std::string_view name, T otherwise) {
  for (const auto& [key, value] : m.options())
    if (key == name && std::holds_alternative<T>(value)) return std::get<T>(value);
  return otherwise;
}

// The (voxels, channels) of features that were flattened from a volume. PyTorch orders them as (channels, voxels).
using Flattened = std::optional<std::pair<std::int64_t, std::int64_t>>;

Flattened flattened_by(const Module& m) {
  const auto& in = m.in_size();
  if (in.size() != 4 || m.out_size().size() != 1 || m.out_size()[0] == dynamic) return std::nullopt;
  const std::int64_t voxels = in[0] * in[1] * in[2];
  return voxels == 1 || in[3] == 1 ? Flattened() : Flattened({voxels, in[3]});
}

class Walk : public Visitor {
 public:
  explicit Walk(StateLayout layout) : torch_(layout == torch_layout) {}

  LayoutNames names;

  void start(Module& root) {
    enter("", root);
    std::set<std::string_view> seen;
    for (const NamedLeaf& l : names.leaves)
      if (!seen.insert(l.name).second)
        throw ValueError(fmt::format("[state_dict] two tensors of the module have the name \"{}\"", l.name));
  }

  void state(std::string_view name, State& s) override {
    const bool again = !seen_.insert(s.identity()).second;
    if (torch_ ? is_a(s.kind(), StateKind::random) : again) return;
    for (const std::string& leaf : s.leaves()) {
      if (torch_)
        names.leaves.push_back({path_of(torch_name(name, leaf)), s, leaf, torch_axes(leaf, s[leaf].shape())});
      else
        names.leaves.push_back({path_of(std::string(name) + "." + leaf), s, leaf, unchanged(s[leaf].shape())});
    }
  }

  void module(std::string_view name, Module& m) override {
    const bool in_sequential = open_.back().sequential;
    if (torch_ && in_sequential && name.starts_with("layers.")) name.remove_prefix(7);
    const std::string path = path_of(std::string(name));
    enter(path, m);
    if (torch_ && !in_sequential && flattened_)
      throw fail(path,
                 "its result is the features of a flattened volume, which PyTorch orders differently; the layer that "
                 "reads them can be determined only within a Sequential: put the Flatten and that layer into one");
  }

 private:
  struct Open {
    std::string path;
    Module* module;
    bool sequential;
    Flattened input;  // the features that the module reads, if known
  };

  std::string path_of(const std::string& name) const {
    const std::string& path = open_.back().path;
    return path.empty() ? name : path + "." + name;
  }
  ValueError fail(const std::string& path, const std::string& what) const {
    return ValueError(fmt::format("[state_dict] {}: {}", path.empty() ? "the module" : path, what));
  }
  ValueError fail(const std::string& what) const {
    const std::string& path = open_.back().path;
    const std::string kind = open_.back().module->kind();
    return fail(path.empty() ? kind : fmt::format("{} ({})", path, kind), what);
  }

  void enter(const std::string& path, Module& m) {
    if (std::any_of(open_.begin(), open_.end(), [&](const Open& o) { return o.module == &m; }))
      throw fail(path, "the module visits itself");
    const bool sequential = dynamic_cast<Sequential*>(&m) != nullptr;
    open_.push_back({path, &m, sequential, flattened_});
    if (!sequential) flattened_.reset();
    const std::size_t before = names.leaves.size();
    m.visit(*this);
    if (torch_ && dynamic_cast<BatchNorm3d*>(&m) != nullptr) names.counters.push_back(path_of("num_batches_tracked"));
    if (torch_ && !sequential) flattened_ = output_of(m, open_.back().input, names.leaves.size() != before);
    open_.pop_back();
  }

  // Whether the features after m are still in the order of a flattened volume.
  Flattened output_of(Module& m, const Flattened& input, bool has_tensors) const {
    if (dynamic_cast<Flatten*>(&m) != nullptr) return flattened_by(m);
    if (!input || !has_tensors || is_per_feature(m)) return input;
    if (dynamic_cast<Linear*>(&m) != nullptr) return std::nullopt;
    throw fail(
        "it reads the features of a flattened volume, which PyTorch orders differently; only Linear, LayerNorm and "
        "PReLU are "
        "converted there");
  }
  static bool is_per_feature(Module& m) {
    return dynamic_cast<LayerNorm*>(&m) != nullptr || dynamic_cast<PReLU*>(&m) != nullptr;
  }

  // The name within the module. A state called "weight" holds PyTorch's parameters of the module itself.
  std::string torch_name(std::string_view state, std::string_view leaf) const {
    Module& m = *open_.back().module;
    if (dynamic_cast<WeightNormConv3d*>(&m) != nullptr && leaf != "bias")
      return leaf == "direction" ? "parametrizations.weight.original1" : "parametrizations.weight.original0";
    if (dynamic_cast<NormLayer*>(&m) != nullptr && leaf == "scale") leaf = "weight";
    if (dynamic_cast<PReLU*>(&m) != nullptr) leaf = "weight";
    if (leaf == "value" || leaf == state) return std::string(state);
    if (state == "weight") return std::string(leaf);
    return fmt::format("{}.{}", state, leaf);
  }

  AxisMap torch_axes(std::string_view leaf, const Shape& here) const {
    Module& m = *open_.back().module;
    if (option<std::string>(m, "w_mask", "None") != "None")
      throw fail("a w_mask has no counterpart in PyTorch's layers");
    if (auto* conv = dynamic_cast<ConvLayer3d*>(&m)) return conv_axes(*conv, leaf, here);
    if (dynamic_cast<Linear*>(&m) != nullptr) return linear_axes(leaf, here);
    if (dynamic_cast<LayerNorm*>(&m) != nullptr) return flattened_axes(without_leading_ones(m, here), here);
    if (dynamic_cast<NormLayer*>(&m) != nullptr) return reshaped(here, {here.numel()});
    if (dynamic_cast<PReLU*>(&m) != nullptr) return flattened_axes(here, here);
    return unchanged(here);
  }

  // Torch's normalized_shape consists of the last axes, which are those that scale and bias keep.
  static Shape without_leading_ones(const Module& m, const Shape& here) {
    const auto kept = option<std::vector<std::int64_t>>(m, "feature_axes", {});
    const auto count = static_cast<std::int64_t>(kept.size());
    if (kept.empty() || *std::min_element(kept.begin(), kept.end()) != -count) return here;
    const std::vector<std::int64_t> all = here.vec();
    return Shape(std::vector<std::int64_t>(all.end() - count, all.end()));
  }

  // One number per feature; the features may be those of a flattened volume.
  AxisMap flattened_axes(const Shape& there, const Shape& here) const {
    const Flattened& from = open_.back().input;
    if (!from || there.numel() == 1) return reshaped(here, there);
    require_features(from, there.numel());
    return {here, {from->first, from->second}, {1, 0}, there};
  }
  void require_features(const Flattened& from, std::int64_t features) const {
    if (from->first * from->second != features)
      throw fail(fmt::format("it has {} features, the flattened volume before it {}; their order in PyTorch is unknown",
                             features, from->first * from->second));
  }

  AxisMap linear_axes(std::string_view leaf, const Shape& here) const {
    if (leaf == "bias") return vector_of(here, open_.back().module->out_size().back());
    const Flattened& from = open_.back().input;
    if (!from) return permuted(here, {1, 0});
    require_features(from, here.at(0));
    return {here, {from->first, from->second, here.at(1)}, {2, 1, 0}, {here.at(1), here.at(0)}};
  }

  AxisMap conv_axes(const ConvLayer3d& m, std::string_view leaf, const Shape& here) const {
    if (leaf == "bias") return vector_of(here, option<std::int64_t>(m, "out_channels", 0));
    if (leaf != "weight" && leaf != "direction") return reshaped(here, {here.numel(), 1, 1, 1, 1});  // gain, magnitude
    if (dynamic_cast<const ConvTranspose3d*>(&m) == nullptr) return permuted(here, {4, 3, 0, 1, 2});
    // here (kh, kw, kd, out, in / groups), there (in, out / groups, kh, kw, kd)
    const std::int64_t groups = option<std::int64_t>(m, "groups", 1);
    const std::int64_t kh = here.at(0), kw = here.at(1), kd = here.at(2), out = here.at(3), in = here.at(4);
    return {here, {kh, kw, kd, groups, out / groups, in}, {3, 5, 4, 0, 1, 2}, {groups * in, out / groups, kh, kw, kd}};
  }

  AxisMap vector_of(const Shape& here, std::int64_t channels) const {
    if (here.numel() != channels)
      throw fail(fmt::format("its bias has the shape {}; PyTorch's has one value per channel", here.str()));
    return reshaped(here, {channels});
  }

  bool torch_;
  std::vector<Open> open_;
  Flattened flattened_;  // of the previous module's output
  std::set<const void*> seen_;
};

}  // namespace

Tensor AxisMap::forward(const Tensor& t) const {
  return order.empty() ? t.reshape(there) : transposed(t.reshape(split), order).reshape(there);
}

Tensor AxisMap::back(const Tensor& t) const {
  if (order.empty()) return t.reshape(here);
  std::vector<std::int64_t> moved;
  std::vector<int> inverse(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    moved.push_back(split.at(order[i]));
    inverse[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
  }
  return transposed(t.reshape(moved), inverse).reshape(here);
}

LayoutNames layout_names(const Module& model, StateLayout layout) {
  Walk walk(layout);
  walk.start(visited(model));
  return std::move(walk.names);
}

}  // namespace vg::detail
