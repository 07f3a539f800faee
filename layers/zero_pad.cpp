#include "voxgrad/layers/zero_pad.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

ZeroPad3d::ZeroPad3d(ZeroPad3dOptions o) : Layer(std::move(o.name)), padding_(std::move(o.padding)) {
  padding_.check(where());
  if (padding_.mode() != Padding::Mode::explicit_pads)
    throw ValueError(fmt::format("[{}] padding: got SAME or VALID; must be numbers", where()));
  if (!o.in_size.empty()) build(o.in_size);
}

void ZeroPad3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  Size out = in_size;
  const auto pads = padding_.explicit_pads();
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
  for (const Pads& side : padding_.explicit_pads()) widths.push_back(side);
  widths.emplace_back(0, 0);
  return pad(x, widths);
}

Attributes ZeroPad3d::options() const {
  return {{"padding", padding_.describe()}, {"in_size", in_size()}, {"name", name()}};
}

}  // namespace vg
