#include "voxgrad/layers/dropout.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/dropout.hpp"

namespace vg {

void DropoutLayer::start(const DropoutOptions& options) {
  keep_prob_ = options.keep_prob;
  if (!(keep_prob_ > 0 && keep_prob_ <= 1))
    throw ValueError(
        fmt::format("[{}] keep_prob: got {}; must be in (0, 1] (the probability to keep)", where(), keep_prob_));
  if (options.seed) random.emplace(*options.seed);
}

Variable DropoutLayer::update(Variable x) {
  if (!training() || keep_prob_ == 1) return x;
  return drop(x, keep_prob_, random ? random->next() : random::default_generator().next());
}

void DropoutLayer::visit(Visitor& v) {
  if (random) v("random", *random);
}

Attributes DropoutLayer::options() const {
  return {{"keep_prob", keep_prob_},
          {"random", random.has_value() ? std::string("own") : std::string("default")},
          {"name", name()}};
}

Variable Dropout::drop(const Variable& x, double keep_prob, const random::Key& key) const {
  return dropout(x, keep_prob, key);
}

Variable SpatialDropout3d::drop(const Variable& x, double keep_prob, const random::Key& key) const {
  if (is_batch_of_volumes(x)) return spatial_dropout3d(x, keep_prob, key);
  return detail::without_batch(spatial_dropout3d(detail::with_batch(x), keep_prob, key));
}

}  // namespace vg
