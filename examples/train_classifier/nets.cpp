#include "train_classifier/nets.hpp"

#include <fmt/format.h>

namespace {

struct Request {
  vg::Size in_size;
  std::int64_t classes, width;
  std::vector<std::int64_t> stages() const { return {width, 2 * width, 4 * width, 8 * width}; }
};

// The published stem, 3 x 7 x 7 with stride 1 x 2 x 2, is made for video; here all axes are treated alike.
vg::zoo::ResNet3dOptions resnet(const Request& r) {
  return {.in_size = r.in_size, .classes = r.classes, .widths = r.stages(), .stem_kernel = 5, .stem_stride = 2};
}

struct Net {
  const char* name;
  std::int64_t width, narrowest;  // 0: the width is fixed
  vg::Sequential (*make)(const Request&);
};
const Net nets[] = {
    {"resnet10", 16, 1, [](const Request& r) { return vg::zoo::ResNet3d10(resnet(r)); }},
    {"resnet18", 16, 1, [](const Request& r) { return vg::zoo::ResNet3d18(resnet(r)); }},
    {"r2plus1d", 16, 1,
     [](const Request& r) {
       return vg::zoo::R2Plus1D18({.in_size = r.in_size, .classes = r.classes, .widths = r.stages()});
     }},
    {"voxnet", 0, 0, [](const Request& r) { return vg::zoo::VoxNet({.in_size = r.in_size, .classes = r.classes}); }},
    {"c3d", 16, 1,
     [](const Request& r) {
       return vg::zoo::C3D({.in_size = r.in_size, .classes = r.classes, .width = r.width, .features = 16 * r.width});
     }},
};

}  // namespace

std::vector<std::string> net_names() {
  std::vector<std::string> names;
  for (const Net& net : nets) names.emplace_back(net.name);
  return names;
}

vg::Sequential make_net(const std::string& name, std::int64_t width, const vg::Size& in_size, std::int64_t classes) {
  for (const Net& net : nets) {
    if (name != net.name) continue;
    if (width != 0 && net.width == 0)
      throw vg::ValueError(fmt::format("[train_classifier] --width: got {}; {} has one width only", width, name));
    return net.make({in_size, classes, width != 0 ? width : net.width});
  }
  throw vg::ValueError(
      fmt::format("[train_classifier] --net: got {}; must be one of {}", name, fmt::join(net_names(), ", ")));
}
