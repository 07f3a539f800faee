#include "layers/sequential.hpp"

#include <fmt/format.h>

#include <utility>

#include "framework/error.hpp"

namespace vg {

void Sequential::push_back(std::shared_ptr<Module> module) {
  if (!module) throw ValueError(fmt::format("[{}] push_back: got nullptr; must be a module", where()));
  if (!layers_.empty() && !layers_.back()->out_size().empty()) module->build(layers_.back()->out_size());
  layers_.push_back(std::move(module));
  // The sizes of the whole are known once the first module's is.
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
  throw TypeError(fmt::format("[{}] module {} is a {}, not what was asked for", where(), i, at(i)->kind()));
}

Variable Sequential::update(const Variable& x) {
  if (layers_.empty()) throw ValueError(fmt::format("[{}] update: there are no modules", where()));
  Variable y = x;
  for (const auto& layer : layers_) y = (*layer)(std::move(y));
  return y;
}

}  // namespace vg
