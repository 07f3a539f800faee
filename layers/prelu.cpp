#include "voxgrad/layers/prelu.hpp"

#include <cmath>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

PReLU::PReLU(PReLUOptions o) : Layer(std::move(o.name)), per_channel_(o.per_channel), initial_(o.initial) {
  if (!std::isfinite(initial_))
    throw ValueError(fmt::format("[{}] initial: got {}; must be finite", where(), initial_));
  if (!per_channel_) weight.add("slope", Tensor::full({1}, initial_));
  if (!o.in_size.empty()) build(o.in_size);
}

void PReLU::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_extents(where(), in_size);
  if (per_channel_) {
    if (in_size.back() == dynamic)
      throw ValueError(fmt::format("[{}] in_size: got {}; the channels must be fixed", where(), size_text(in_size)));
    weight.add("slope", Tensor::full({in_size.back()}, initial_));
  }
  set_sizes(in_size, in_size);
}

Variable PReLU::update(Variable x) {
  if (per_channel_ || built()) require_trailing(x);
  return prelu(x, weight["slope"]);
}

Attributes PReLU::options() const {
  return {{"per_channel", per_channel_}, {"initial", initial_}, {"in_size", in_size()}, {"name", name()}};
}

ELU::ELU(ELUOptions options) : options_(options) {
  if (!(options_.alpha >= 0)) throw ValueError(fmt::format("[ELU] alpha: got {}; must be at least 0", options_.alpha));
}

Softplus::Softplus(SoftplusOptions options) : options_(options) {
  if (!(options_.beta > 0)) throw ValueError(fmt::format("[Softplus] beta: got {}; must be positive", options_.beta));
}

}  // namespace vg
