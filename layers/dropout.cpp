#include "voxgrad/layers/dropout.hpp"

#include <limits>
#include <utility>

#include "voxgrad/framework/ops/dropout.hpp"

namespace vg {

void DropoutOptions::fields(Fields& f) {
  f("keep_prob", keep_prob, {std::numeric_limits<double>::denorm_min(), 1, "in (0, 1] (the probability to keep)"});
  f.seed("seed", seed);
  f("name", name);
}

DropoutLayer::DropoutLayer(DropoutOptions options) : LayerWith(std::move(options)) {
  if (options_.seed) random.emplace(*options_.seed);
}

Variable DropoutLayer::update(Variable x) {
  if (!training() || options_.keep_prob == 1) return x;
  return drop(x, options_.keep_prob, random ? random->next() : random::default_generator().next());
}

void DropoutLayer::visit(Visitor& v) {
  if (random) v("random", *random);
}

Attributes DropoutLayer::options() const {
  DropoutOptions now = options_;
  now.seed = random ? std::optional<std::uint64_t>(0) : std::nullopt;  // users may set the stream after construction
  return saved_fields(std::move(now));
}

Variable Dropout::drop(const Variable& x, double keep_prob, const random::Key& key) const {
  return dropout(x, keep_prob, key);
}

Variable SpatialDropout3d::drop(const Variable& x, double keep_prob, const random::Key& key) const {
  if (is_batch_of_volumes(x)) return spatial_dropout3d(x, keep_prob, key);
  return detail::without_batch(spatial_dropout3d(detail::with_batch(x), keep_prob, key));
}

}  // namespace vg
