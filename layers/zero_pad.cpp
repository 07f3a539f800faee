#include "voxgrad/layers/zero_pad.hpp"

#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

void ZeroPad3dOptions::fields(Fields& f) {
  f("padding", padding);
  f("in_size", in_size);
  f("name", name);
  if (f.checking() && padding.mode() != Padding::Mode::explicit_pads)
    f.refuse("padding", "got SAME or VALID; must be numbers");
}

ZeroPad3d::ZeroPad3d(ZeroPad3dOptions options) : LayerWith(std::move(options)) { start(); }

void ZeroPad3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  Size out = in_size;
  const auto pads = options_.padding.explicit_pads();
  for (std::size_t i = 0; i < 3; ++i) {
    if (out[i] == dynamic) continue;
    out[i] += pads[i].first + pads[i].second;
    if (out[i] < 1)
      throw ValueError(fmt::format("[{}] output: would be empty for an input of {}", where(), size_text(in_size)));
  }
  set_sizes(in_size, out);
}

Variable ZeroPad3d::update(Variable x) {
  std::vector<Pads> widths;
  if (is_batch_of_volumes(x)) widths.emplace_back(0, 0);
  for (const Pads& side : options_.padding.explicit_pads()) widths.push_back(side);
  widths.emplace_back(0, 0);
  return pad(x, widths);
}

}  // namespace vg
