#include "voxgrad/layers/containers/sequential.hpp"

#include <fmt/format.h>

#include <utility>

#include "voxgrad/framework/autograd/lazy.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/activation.hpp"
#include "voxgrad/layers/pool.hpp"

namespace vg {

void Sequential::push_back(std::shared_ptr<Module> module) {
  if (!module) throw ValueError(fmt::format("[{}] push_back: got nullptr; must be a module", where()));
  if (!layers_.empty() && !layers_.back()->out_size().empty()) module->build(layers_.back()->out_size());
  layers_.push_back(std::move(module));
  // The sizes of the whole are known once those of the first module are.
  if (!layers_.front()->in_size().empty()) set_sizes(layers_.front()->in_size(), layers_.back()->out_size());
}

void Sequential::build(const Size& in_size) {
  if (layers_.empty()) throw ValueError(fmt::format("[{}] build: there are no modules", where()));
  Size size = in_size;
  for (const auto& layer : layers_) {
    layer->build(size);
    size = layer->out_size();
  }
  set_sizes(in_size, size);
}

const std::shared_ptr<Module>& Sequential::at(std::size_t i) const {
  if (i >= layers_.size())
    throw ValueError(fmt::format("[{}] module: got {}; there are {}", where(), i, layers_.size()));
  return layers_[i];
}

void Sequential::throw_other_type(std::size_t i) const {
  throw TypeError(fmt::format("[{}] module {} is a {}, not of the requested type", where(), i, at(i)->kind()));
}

namespace {

// For a non-decreasing activation, the maximum of activated values is the activated maximum. Pooling first leaves at
// most an eighth of the volume to activate. (If several values of a window become the same 0, none has a gradient.)
bool should_pool_first(const Module& layer, const Module& next) {
  if (dynamic_cast<const MaxPool3d*>(&next) == nullptr) return false;
  const auto* leaky = dynamic_cast<const LeakyReLU*>(&layer);
  return leaky != nullptr ? leaky->negative_slope() >= 0 : dynamic_cast<const ReLU*>(&layer) != nullptr;
}

}  // namespace

Variable Sequential::update(Variable x) {
  if (layers_.empty()) throw ValueError(fmt::format("[{}] update: there are no modules", where()));
  Variable y = x;
  const bool reorders = fuses() && !observed();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (reorders && i + 1 < layers_.size() && should_pool_first(*layers_[i], *layers_[i + 1])) {
      y = (*layers_[i])((*layers_[i + 1])(std::move(y)));
      ++i;
    } else {
      y = (*layers_[i])(std::move(y));
    }
  }
  return y;
}

}  // namespace vg
