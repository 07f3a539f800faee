#include "voxgrad/layers/containers/sequential.hpp"

#include <fmt/format.h>

#include <utility>

#include "voxgrad/framework/base/error.hpp"

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

Variable Sequential::update(Variable x) {
  if (layers_.empty()) throw ValueError(fmt::format("[{}] update: there are no modules", where()));
  Variable y = x;
  const bool reorders = fuses() && !observed();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    // The maximum of activated values is the activated maximum, and pooling first leaves at most an eighth to activate.
    // (If several values of a window become the same 0, none has a gradient.)
    if (reorders && i + 1 < layers_.size() && fusion::rule_of(layers_[i]->fusion_op(), layers_[i + 1]->fusion_op())) {
      y = (*layers_[i])((*layers_[i + 1])(std::move(y)));
      ++i;
    } else {
      y = (*layers_[i])(std::move(y));
    }
  }
  return y;
}

}  // namespace vg
