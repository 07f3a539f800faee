#include "voxgrad/layers/layer.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/input_check.hpp"

namespace vg {

bool detail::fits(const Shape& x, std::size_t first, const Size& size) {
  if (x.size() != first + size.size()) return false;
  for (std::size_t i = 0; i < size.size(); ++i)
    if (size[i] != dynamic && x[first + i] != size[i]) return false;
  return true;
}

Variable detail::with_batch(const Variable& x) {
  std::vector<std::int64_t> shape = x.shape().vec();
  shape.insert(shape.begin(), 1);
  return reshape(x, shape);
}

Variable detail::without_batch(const Variable& x) {
  return reshape(x, ShapeArg(std::span(x.shape().begin() + 1, x.shape().end())));
}

void Layer::require_built() const {
  if (!built())
    throw ValueError(fmt::format(
        "[{}] in_size: not given; pass it, call build(in_size), or put the layer in a Sequential", where()));
}

bool Layer::has_batch(const Variable& x) const {
  require_built();
  if (detail::fits(x.shape(), 0, in_size())) return false;
  if (x.rank() > 0 && detail::fits(x.shape(), 1, in_size())) return true;
  detail::refuse_shape(where(), x.shape(), in_size(), detail::layout_hint(x.shape(), in_size()));
}

bool Layer::is_batch_of_volumes(const Variable& x) const {
  if (built()) return has_batch(x);
  if (x.rank() != 4 && x.rank() != 5)
    throw ValueError(
        fmt::format("[{}] input: got {}; must be (B, H, W, D, C) or (H, W, D, C)", where(), x.shape().str()));
  return x.rank() == 5;
}

void Layer::require_trailing(const Variable& x) const {
  require_built();
  if (x.shape().size() >= in_size().size() && detail::fits(x.shape(), x.shape().size() - in_size().size(), in_size()))
    return;
  throw ValueError(fmt::format("[{}] input: got {}; must end with {}{}", where(), x.shape().str(), size_text(in_size()),
                               detail::layout_hint(x.shape(), in_size())));
}

}  // namespace vg
