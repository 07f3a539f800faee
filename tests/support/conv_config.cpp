#include "support/conv_config.hpp"

#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "voxgrad/framework/base/error.hpp"

namespace vg::test::golden {

using nlohmann::json;

vg::TripleArg extent(const json& value) {
  if (value.is_number_integer()) return value.get<std::int64_t>();
  return ints(value);
}

vg::Padding padding(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.empty() && value[0].is_array()) return value.get<std::vector<vg::Pads>>();
  return value.get<std::vector<std::int64_t>>();
}

namespace {

// Sets an option that all convolution layers have; returns false for any other name.
template <class Options>
bool set_common(Options& o, const std::string& name, const json& value) {
  if (name == "in_size")
    o.in_size = ints(value);
  else if (name == "out_channels")
    o.out_channels = value.get<std::int64_t>();
  else if (name == "kernel_size")
    o.kernel_size = extent(value);
  else if (name == "stride")
    o.stride = extent(value);
  else if (name == "padding")
    o.padding = padding(value);
  else if (name == "rhs_dilation")
    o.rhs_dilation = extent(value);
  else if (name == "groups")
    o.groups = value.get<std::int64_t>();
  else if (name == "channel_first")
    o.channel_first = value.get<bool>();
  else
    return false;
  return true;
}

template <class Options, class More>
Options options(const json& config, More more) {
  Options o;
  for (const auto& [name, value] : config.items())
    if (!set_common(o, name, value) && !more(o, name, value))
      throw vg::IoError("[golden] config: there is no option \"" + name + "\"");
  return o;
}

template <class Options>
bool set_lhs_dilation(Options& o, const std::string& name, const json& value) {
  if (name != "lhs_dilation") return false;
  o.lhs_dilation = extent(value);
  return true;
}

}  // namespace

vg::Conv3dOptions conv3d_options(const json& config) {
  return options<vg::Conv3dOptions>(config, set_lhs_dilation<vg::Conv3dOptions>);
}

vg::ConvTranspose3dOptions conv_transpose3d_options(const json& config) {
  return options<vg::ConvTranspose3dOptions>(config, [](auto&, const std::string&, const json&) { return false; });
}

vg::ScaledWSConv3dOptions scaled_ws_options(const json& config) {
  return options<vg::ScaledWSConv3dOptions>(config, [](auto& o, const std::string& name, const json& value) {
    if (name == "ws_gain")
      o.ws_gain = value.template get<bool>();
    else if (name == "eps")
      o.eps = value.template get<double>();
    else
      return set_lhs_dilation(o, name, value);
    return true;
  });
}

}  // namespace vg::test::golden
