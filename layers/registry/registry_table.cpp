// The layers of this library by kind. The table is explicit, because a linker drops objects that only register
// themselves. tests/unit/layers/test_registry.cpp checks that it is complete.
#include <algorithm>
#include <iterator>

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
constexpr LayerEntry entry(std::string_view kind) {
  return {kind, detail::made_from_config<M>, fields_of<M>};
}

constexpr LayerEntry table[] = {entry<AdaptiveAvgPool3d>("AdaptiveAvgPool3d"),
                                entry<AdaptiveMaxPool3d>("AdaptiveMaxPool3d"),
                                entry<AvgPool3d>("AvgPool3d"),
                                entry<BatchNorm3d>("BatchNorm3d"),
                                entry<BottleneckBlock3d>("BottleneckBlock3d"),
                                entry<Branches>("Branches"),
                                entry<Conv3d>("Conv3d"),
                                entry<ConvTranspose3d>("ConvTranspose3d"),
                                entry<DepthwiseSeparableConv3d>("DepthwiseSeparableConv3d"),
                                entry<Dropout>("Dropout"),
                                entry<ELU>("ELU"),
                                entry<Flatten>("Flatten"),
                                entry<GELU>("GELU"),
                                entry<GlobalAvgPool3d>("GlobalAvgPool3d"),
                                entry<GroupNorm>("GroupNorm"),
                                entry<Identity>("Identity"),
                                entry<InstanceNorm3d>("InstanceNorm3d"),
                                entry<LayerNorm>("LayerNorm"),
                                entry<LeakyReLU>("LeakyReLU"),
                                entry<Linear>("Linear"),
                                entry<MaxPool3d>("MaxPool3d"),
                                entry<PReLU>("PReLU"),
                                entry<ReLU>("ReLU"),
                                entry<ResidualBlock3d>("ResidualBlock3d"),
                                entry<ScaledWSConv3d>("ScaledWSConv3d"),
                                entry<Sequential>("Sequential"),
                                entry<SiLU>("SiLU"),
                                entry<Sigmoid>("Sigmoid"),
                                entry<Softmax>("Softmax"),
                                entry<Softplus>("Softplus"),
                                entry<SpatialDropout3d>("SpatialDropout3d"),
                                entry<SqueezeExcite3d>("SqueezeExcite3d"),
                                entry<Tanh>("Tanh"),
                                entry<Upsample>("Upsample"),
                                entry<WeightNormConv3d>("WeightNormConv3d"),
                                entry<ZeroPad3d>("ZeroPad3d")};

}  // namespace

std::span<const LayerEntry> layers() { return table; }

const LayerEntry* find_layer(std::string_view kind) {
  const auto* it = std::find_if(std::begin(table), std::end(table), [&](const auto& e) { return e.kind == kind; });
  return it == std::end(table) ? nullptr : it;
}

}  // namespace vg::registry
