#include "voxgrad/layers/prelu.hpp"

#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/init/parameter_limit.hpp"

namespace vg {

void PReLUOptions::fields(Fields& f) {
  f("per_channel", per_channel);
  f("initial", initial, finite);
  f("in_size", in_size);
  f("name", name);
}

PReLU::PReLU(PReLUOptions options) : LayerWith(std::move(options)) {
  if (!options_.per_channel) weight.add("slope", Tensor::full({1}, options_.initial));
  start();
}

void PReLU::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_extents(where(), in_size);
  if (options_.per_channel) {
    if (in_size.back() == dynamic)
      throw ValueError(fmt::format("[{}] in_size: got {}; the channels must be fixed", where(), size_text(in_size)));
    detail::take_from_limit(where(), in_size.back());
    weight.add("slope", Tensor::full({in_size.back()}, options_.initial));
  }
  set_sizes(in_size, in_size);
}

Variable PReLU::update(Variable x) {
  if (options_.per_channel || built()) require_trailing(x);
  return prelu(x, weight["slope"]);
}

}  // namespace vg
