#include "voxgrad/layers/dropout.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/dropout.hpp"

namespace vg {

void DropoutLayer::start(const DropoutOptions& options) {
  prob_ = options.prob;
  if (!(prob_ > 0 && prob_ <= 1))
    throw ValueError(fmt::format("[{}] prob: got {}; must be in (0, 1] (the probability to keep)", where(), prob_));
  if (options.seed) random.emplace(*options.seed);
}

Variable DropoutLayer::update(const Variable& x) {
  if (!training() || prob_ == 1) return x;
  return drop(x, prob_, random ? random->next() : random::default_generator().next());
}

void DropoutLayer::visit(Visitor& v) {
  if (random) v("random", *random);
}

Attributes DropoutLayer::options() const {
  return {
      {"prob", prob_}, {"random", random.has_value() ? std::string("own") : std::string("default")}, {"name", name()}};
}

Variable Dropout::drop(const Variable& x, double prob, const random::Key& key) const { return dropout(x, prob, key); }

Variable SpatialDropout3d::drop(const Variable& x, double prob, const random::Key& key) const {
  if (is_batch_of_volumes(x)) return spatial_dropout3d(x, prob, key);
  return without_batch(spatial_dropout3d(with_batch(x), prob, key));
}

}  // namespace vg
