#include "voxgrad/layers/adaptive_pool.hpp"

namespace vg {

void AdaptivePool3dOptions::fields(Fields& f) {
  f("output_size", output_size);
  f("in_size", in_size);
  f("name", name);
}

void AdaptivePoolLayer3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  const Triple size = options_.output_size.values();
  set_sizes(in_size, {size[0], size[1], size[2], in_size[3]});
}

Variable AdaptivePoolLayer3d::update(Variable x) {
  const bool batch = is_batch_of_volumes(x);
  const Variable y = pool(batch ? x : detail::with_batch(x), options_.output_size.values());
  return batch ? y : detail::without_batch(y);
}

}  // namespace vg
