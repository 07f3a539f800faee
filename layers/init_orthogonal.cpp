#include "layers/init_orthogonal.hpp"

#include <omp.h>

#include <algorithm>

// As in linalg.cpp: the same templates must not be compiled in two ways.
#ifndef HAVE_CBLAS
#define HAVE_CBLAS 1
#endif
#include <xtensor-blas/xlinalg.hpp>

#include "framework/array.hpp"
#include "framework/error.hpp"

namespace vg::init {

namespace {

// OpenBLAS (its OpenMP build) takes as many threads as OpenMP would, and its results may depend on their number.
struct OneThread {
  OneThread() { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  int before = omp_get_max_threads();
};

// The Q of a tall matrix with the signs that make R's diagonal positive, so that Q is uniformly distributed, and
// unique.
xt::xarray<double> orthonormal_columns(const Tensor& tall) {
  const OneThread one;
  const xt::xarray<double> a = tall.array<float>();
  const auto [q, r] = xt::linalg::qr(a);
  xt::xarray<double> signed_q = q;
  for (std::size_t j = 0; j < signed_q.shape()[1]; ++j)
    if (r(j, j) < 0)
      for (std::size_t i = 0; i < signed_q.shape()[0]; ++i) signed_q(i, j) = -signed_q(i, j);
  return signed_q;
}

}  // namespace

Tensor draw_orthogonal(const random::Key& key, const Shape& shape, float scale, int axis) {
  const int at = normalize_axis("Orthogonal", axis, shape.rank());
  const std::int64_t rows = shape.at(at), columns = rows == 0 ? 0 : shape.numel() / rows;
  if (shape.numel() == 0)
    throw ValueError("[Orthogonal] shape: got " + shape.str() + "; every extent must be at least 1");
  const Tensor tall = random::normal(key, {std::max(rows, columns), std::min(rows, columns)});
  const xt::xarray<double> q = orthonormal_columns(tall);

  // Element (r, c) of the (rows, columns) matrix; `axis` moves from the front of the result's axes to its place.
  std::int64_t inner = 1;
  for (int i = at + 1; i < shape.rank(); ++i) inner *= shape.at(i);
  Tensor out(shape);
  float* to = out.data<float>();
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      const auto row = static_cast<std::size_t>(r), column = static_cast<std::size_t>(c);
      const double v = rows < columns ? q(column, row) : q(row, column);
      to[((c / inner) * rows + r) * inner + c % inner] = scale * static_cast<float>(v);
    }
  return out;
}

}  // namespace vg::init
