// gather and scatter_add. Each is the adjoint of the other.
#include <algorithm>
#include <cstring>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

// x is (outer, extent, inner) and is indexed along the middle axis, which gives (outer, count, inner).
struct Layout {
  std::int64_t outer = 1, extent = 0, count = 0, inner = 1;
};

void check_indices(std::string_view op, const Tensor& indices, std::int64_t extent) {
  if (!indices.defined() || indices.dtype() != i32)
    throw TypeError(fmt::format("[{}] indices: got {}; must be an i32 Tensor", op,
                                indices.defined() ? name_of(indices.dtype()) : "none"));
  const std::int32_t* p = indices.data<std::int32_t>();
  for (std::int64_t i = 0; i < indices.numel(); ++i)
    if (p[i] < -extent || p[i] >= extent)
      throw ValueError(
          fmt::format("[{}] indices: got {} at position {}; must be in [{}, {})", op, p[i], i, -extent, extent));
}

std::int64_t resolved(std::int32_t index, std::int64_t extent) { return index < 0 ? index + extent : index; }

template <class T>
void gather_rows(const T* x, const std::int32_t* indices, T* y, const Layout& l) {
  parallel_ranges(l.outer * l.count, std::max<std::int64_t>(1, detail::grain / std::max<std::int64_t>(1, l.inner)),
                  [=](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t r = begin; r < end; ++r) {
                      const T* from = x + (r / l.count * l.extent + resolved(indices[r % l.count], l.extent)) * l.inner;
                      std::copy(from, from + l.inner, y + r * l.inner);
                    }
                  });
}

// Each task owns a range of columns of one outer index and adds in the order of the indices.
template <class T>
void scatter_rows(const T* x, const std::int32_t* indices, T* y, const Layout& l) {
  constexpr std::int64_t width = 256;
  const std::int64_t blocks = (l.inner + width - 1) / width;
  parallel_for(
      l.outer * blocks,
      [=](std::int64_t task) {
        const std::int64_t o = task / blocks, column = task % blocks * width, n = std::min(width, l.inner - column);
        for (std::int64_t i = 0; i < l.count; ++i) {
          const T* from = x + (o * l.count + i) * l.inner + column;
          T* to = y + (o * l.extent + resolved(indices[i], l.extent)) * l.inner + column;
          for (std::int64_t j = 0; j < n; ++j) {
            if constexpr (std::is_integral_v<T>)
              to[j] = static_cast<T>(static_cast<std::uint32_t>(to[j]) + static_cast<std::uint32_t>(from[j]));
            else
              to[j] += from[j];
          }
        }
      },
      l.outer * l.count * l.inner <= detail::grain);
}

}  // namespace

Variable gather(const Variable& x, const Tensor& indices, int axis) {
  const auto at = static_cast<std::size_t>(normalize_axis("gather", axis, x.rank()));
  Layout l;
  l.extent = x.shape()[at];
  l.count = indices.numel();
  check_indices("gather", indices, l.extent);
  Shape shape;
  for (std::size_t i = 0; i < x.shape().size(); ++i) {
    if (i == at)
      for (std::int64_t e : indices.shape()) shape.push_back(e);
    else
      shape.push_back(x.shape()[i]), (i < at ? l.outer : l.inner) *= x.shape()[i];
  }
  const OpGuard scope("gather");
  Tensor y(shape, x.dtype());
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    gather_rows(x.value().data<T>(), indices.data<std::int32_t>(), y.data<T>(), l);
  });
  return record(
      "gather", std::move(y), {x, indices},
      [indices = Variable(indices), at, extent = l.extent](const VjpContext& p) -> Grads {
        return {scatter_add(p.grad, indices.value(), static_cast<int>(at), extent), {}};
      },
      SaveOutput::no);
}

Variable scatter_add(const Variable& x, const Tensor& indices, int axis, std::int64_t extent) {
  if (extent < 0) throw ValueError(fmt::format("[scatter_add] extent: got {}; must be at least 0", extent));
  check_indices("scatter_add", indices, extent);
  const int rank = x.rank() - indices.rank() + 1;  // of the result
  if (rank < 1)
    throw ValueError(fmt::format("[scatter_add] x: got shape {}; must be at least of the indices' rank {}",
                                 x.shape().str(), indices.rank()));
  const auto at = static_cast<std::size_t>(normalize_axis("scatter_add", axis, rank));
  Layout l;
  l.extent = extent;
  l.count = indices.numel();
  Shape shape;
  for (std::size_t i = 0; i < x.shape().size(); ++i) {
    if (i == at) shape.push_back(extent);
    if (i >= at && i < at + indices.shape().size()) {
      if (x.shape()[i] != indices.shape()[i - at])
        throw ValueError(
            fmt::format("[scatter_add] x: got shape {}; from axis {} on it must have the indices' shape {}",
                        x.shape().str(), at, indices.shape().str()));
      continue;
    }
    shape.push_back(x.shape()[i]), (i < at ? l.outer : l.inner) *= x.shape()[i];
  }
  if (at == x.shape().size()) shape.push_back(extent);  // a scalar index along the last axis
  const OpGuard scope("scatter_add");
  Tensor y = Tensor::zeros(shape, x.dtype());
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    scatter_rows(x.value().data<T>(), indices.data<std::int32_t>(), y.data<T>(), l);
  });
  return record(
      "scatter_add", std::move(y), {x, indices},
      [indices = Variable(indices), at](const VjpContext& p) -> Grads {
        return {gather(p.grad, indices.value(), static_cast<int>(at)), {}};
      },
      SaveOutput::no);
}

}  // namespace vg
