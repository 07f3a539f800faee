#include "voxgrad/layers/adaptive_pool.hpp"

namespace vg {

void AdaptivePoolLayer3d::start(const AdaptivePool3dOptions& o) {
  output_size_ = o.output_size.checked(where(), "output_size");
  if (!o.in_size.empty()) build(o.in_size);
}

void AdaptivePoolLayer3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  set_sizes(in_size, {output_size_[0], output_size_[1], output_size_[2], in_size[3]});
}

Variable AdaptivePoolLayer3d::update(Variable x) {
  const bool batch = is_batch_of_volumes(x);
  const Variable y = pool(batch ? x : detail::with_batch(x), output_size_);
  return batch ? y : detail::without_batch(y);
}

Attributes AdaptivePoolLayer3d::options() const {
  return {{"output_size", detail::list(output_size_)}, {"in_size", in_size()}, {"name", name()}};
}

}  // namespace vg
