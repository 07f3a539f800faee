#include "voxgrad/framework/ops/linalg.hpp"

#include <algorithm>
#include <limits>

#include "voxgrad/framework/base/blas.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/op_count.hpp"
#include "voxgrad/framework/ops/detail/strided.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

// A stack of matrices, which may be read transposed.
struct Matrices {
  const Tensor& t;
  bool transposed;
  std::int64_t rows() const { return t.dim(transposed ? -1 : -2); }
  std::int64_t columns() const { return t.dim(transposed ? -2 : -1); }
  std::int64_t leading() const { return std::max<std::int64_t>(1, t.dim(-1)); }
  Shape batch() const { return Shape(std::span(t.shape().begin(), t.shape().size() - 2)); }
};

// A product is divided into tiles by its shape alone.
constexpr std::int64_t tile_rows = 256, tile_columns = 512;

template <class T>
void multiply(const Matrices& a, const Matrices& b, const T* pa, const T* pb, T* pc, std::int64_t row,
              std::int64_t column) {
  const std::int64_t m = a.rows(), k = a.columns(), n = b.columns();
  const blas::Gemm shape{.transpose_a = a.transposed,
                         .transpose_b = b.transposed,
                         .m = static_cast<int>(std::min(tile_rows, m - row)),
                         .n = static_cast<int>(std::min(tile_columns, n - column)),
                         .k = static_cast<int>(k),
                         .lda = static_cast<int>(a.leading()),
                         .ldb = static_cast<int>(b.leading()),
                         .ldc = static_cast<int>(n)};
  blas::multiply(shape, pa + row * (a.transposed ? 1 : a.leading()), pb + column * (b.transposed ? b.leading() : 1),
                 pc + row * n + column);
}

template <class T>
void multiply_all(const Matrices& a, const Matrices& b, Tensor& c, const Shape& batch) {
  const std::int64_t m = a.rows(), k = a.columns(), n = b.columns();
  const std::int64_t row_tiles = (m + tile_rows - 1) / tile_rows,
                     tiles = row_tiles * ((n + tile_columns - 1) / tile_columns);
  const detail::Strides sa = detail::broadcast_strides(a.batch(), batch),
                        sb = detail::broadcast_strides(b.batch(), batch);
  // Small products share a task, because starting one costs more than such a product.
  const std::int64_t work = std::max<std::int64_t>(1, std::min(m, tile_rows) * std::min(n, tile_columns) * k);
  const std::int64_t products = batch.numel() * tiles, grain = std::max<std::int64_t>(1, (1 << 18) / work);
  const blas::Guard scope(static_cast<int>(std::min<std::int64_t>((products + grain - 1) / grain, num_threads())));
  parallel_ranges(products, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t task = begin; task < end; ++task) {
      std::int64_t index = task / tiles, at_a = 0, at_b = 0;
      for (std::size_t d = batch.size(); d-- > 0; index /= batch[d]) {
        at_a += index % batch[d] * sa[d];
        at_b += index % batch[d] * sb[d];
      }
      const std::int64_t tile = task % tiles;
      multiply(a, b, a.t.data<T>() + at_a * m * k, b.t.data<T>() + at_b * k * n, c.data<T>() + task / tiles * m * n,
               tile % row_tiles * tile_rows, tile / row_tiles * tile_columns);
    }
  });
}

void check_matrices(const Variable& a, const Variable& b) {
  detail::check_same_dtype("matmul", a, b);
  detail::check_float("matmul", a);
  for (const Variable& v : {a, b})
    if (v.rank() < 2)
      throw ValueError(
          fmt::format("[matmul] {}: got shape {}; must have at least rank 2", v.is(a) ? "a" : "b", v.shape().str()));
}

// op(a) @ op(b), where op may transpose the last two axes. Transposed operands are read in place, also in the vjp.
Variable product(const Variable& a, bool ta, const Variable& b, bool tb) {
  const Matrices ma{a.value(), ta}, mb{b.value(), tb};
  if (ma.columns() != mb.rows())
    throw ValueError(fmt::format("[matmul] b: got shape {}; its axis -2 must be {}, the last extent of a's {}",
                                 b.shape().str(), ma.columns(), a.shape().str()));
  constexpr std::int64_t limit = std::numeric_limits<int>::max();
  if (ma.columns() > limit || ma.leading() > limit || mb.leading() > limit || mb.columns() > limit)
    throw ValueError(fmt::format("[matmul] a, b: got shapes {} and {}; an extent of a matrix must be below 2^31",
                                 a.shape().str(), b.shape().str()));
  const OpGuard scope("matmul");
  const Shape batch = broadcast_shapes("matmul", ma.batch(), mb.batch());
  Shape shape = batch;
  shape.push_back(ma.rows());
  shape.push_back(mb.columns());
  count_multiply_adds(shape.numel() * ma.columns());
  Tensor c = ma.columns() == 0 ? Tensor::zeros(shape, a.dtype()) : Tensor(shape, a.dtype());
  if (c.numel() != 0 && ma.columns() != 0)
    dispatch_float("matmul", a.dtype(), [&](auto tag) { multiply_all<decltype(tag)>(ma, mb, c, batch); });
  return record(
      "matmul", std::move(c), {a, b},
      [a, ta, b, tb](const VjpContext& p) -> Grads {
        Grads grads(2);
        if (p.needs(0))
          grads[0] = sum_to(ta ? product(b, tb, p.grad, true) : product(p.grad, false, b, !tb), a.shape());
        if (p.needs(1))
          grads[1] = sum_to(tb ? product(p.grad, true, a, ta) : product(a, !ta, p.grad, false), b.shape());
        return grads;
      },
      SaveOutput::no);
}

}  // namespace

Variable matmul(const Variable& a, const Variable& b) {
  check_matrices(a, b);
  if (b.rank() > 2 || a.rank() == 2) return product(a, false, b, false);
  // One matrix for a whole stack: one large product replaces many small ones, and b's gradient needs no sum.
  if (a.dim(-1) != b.dim(0))
    throw ValueError(fmt::format("[matmul] b: got shape {}; its axis -2 must be {}, the last extent of a's {}",
                                 b.shape().str(), a.dim(-1), a.shape().str()));
  std::vector<std::int64_t> shape = a.shape().vec();
  const std::int64_t k = shape.back(), rows = a.shape().numel() / std::max<std::int64_t>(1, k);
  shape.back() = b.dim(1);
  std::int64_t count = k == 0 ? 1 : rows;
  if (k == 0)
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) count *= shape[i];
  return reshape(product(reshape(a, {count, k}), false, b, false), shape);
}

}  // namespace vg
