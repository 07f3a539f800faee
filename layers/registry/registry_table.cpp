// The layers of this library by kind. The table is explicit, because a linker drops objects that only register
// themselves. tests/unit/layers/test_registry.cpp checks that it is complete.
#include <algorithm>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "voxgrad/layers/layers.hpp"
#include "voxgrad/layers/registry/registry_table.hpp"

namespace vg::registry {

namespace {

template <class M>
std::vector<FieldInfo> fields_of() {
  if constexpr (detail::has_options<M>)
    return listed_fields<typename M::Options>();
  else
    return {};
}

template <class M>
LayerEntry entry(std::string kind) {
  return {std::move(kind), detail::made_from_config<M>, fields_of<M>};
}

template <class... Ms>
std::vector<LayerEntry> entries_of(const std::tuple<Ms...>*) {
  return {entry<Ms>(Ms().kind())...};
}

std::vector<LayerEntry> make_table() {
  std::vector<LayerEntry> all = entries_of(static_cast<const Activations*>(nullptr));
  const LayerEntry others[] = {entry<AdaptiveAvgPool3d>("AdaptiveAvgPool3d"),
                               entry<AdaptiveMaxPool3d>("AdaptiveMaxPool3d"),
                               entry<AvgPool3d>("AvgPool3d"),
                               entry<BatchNorm3d>("BatchNorm3d"),
                               entry<BottleneckBlock3d>("BottleneckBlock3d"),
                               entry<Branches>("Branches"),
                               entry<Conv3d>("Conv3d"),
                               entry<ConvTranspose3d>("ConvTranspose3d"),
                               entry<DepthwiseSeparableConv3d>("DepthwiseSeparableConv3d"),
                               entry<Dropout>("Dropout"),
                               entry<Flatten>("Flatten"),
                               entry<GlobalAvgPool3d>("GlobalAvgPool3d"),
                               entry<GroupNorm>("GroupNorm"),
                               entry<InstanceNorm3d>("InstanceNorm3d"),
                               entry<LayerNorm>("LayerNorm"),
                               entry<Linear>("Linear"),
                               entry<MaxPool3d>("MaxPool3d"),
                               entry<PReLU>("PReLU"),
                               entry<ResidualBlock3d>("ResidualBlock3d"),
                               entry<ScaledWSConv3d>("ScaledWSConv3d"),
                               entry<Sequential>("Sequential"),
                               entry<SpatialDropout3d>("SpatialDropout3d"),
                               entry<SqueezeExcite3d>("SqueezeExcite3d"),
                               entry<Upsample>("Upsample"),
                               entry<WeightNormConv3d>("WeightNormConv3d"),
                               entry<ZeroPad3d>("ZeroPad3d")};
  all.insert(all.end(), std::begin(others), std::end(others));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.kind < b.kind; });
  return all;
}

}  // namespace

std::span<const LayerEntry> layers() {
  static const std::vector<LayerEntry> table = make_table();
  return table;
}

const LayerEntry* find_layer(std::string_view kind) {
  const std::span<const LayerEntry> all = layers();
  const auto it = std::find_if(all.begin(), all.end(), [&](const LayerEntry& e) { return e.kind == kind; });
  return it == all.end() ? nullptr : &*it;
}

}  // namespace vg::registry
