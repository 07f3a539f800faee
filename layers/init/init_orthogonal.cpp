#include "voxgrad/layers/init/init_orthogonal.hpp"

#include <algorithm>

#include "voxgrad/framework/base/blas.hpp"
#include "voxgrad/framework/base/error.hpp"

namespace vg::init {

namespace {

// The Q of a tall matrix's QR decomposition, with the signs that make R's diagonal positive. Q is then unique and
// uniformly distributed.
Tensor orthonormal_columns(const Tensor& tall) {
  const blas::Guard scope(1);
  auto [q, r] = blas::qr(tall);
  const std::int64_t rows = q.dim(0), columns = q.dim(1);
  double* const values = q.data<double>();
  for (std::int64_t j = 0; j < columns; ++j)
    if (r.data<double>()[j * columns + j] < 0)
      for (std::int64_t i = 0; i < rows; ++i) values[i * columns + j] = -values[i * columns + j];
  return q;
}

}  // namespace

Tensor draw_orthogonal(const random::Key& key, const Shape& shape, float scale, int axis) {
  const int at = normalize_axis("Orthogonal", axis, shape.rank());
  const std::int64_t rows = shape.at(at), columns = rows == 0 ? 0 : shape.numel() / rows;
  if (shape.numel() == 0)
    throw ValueError("[Orthogonal] shape: got " + shape.str() + "; every extent must be at least 1");
  const Tensor tall = random::normal(key, {std::max(rows, columns), std::min(rows, columns)});
  const Tensor orthonormal = orthonormal_columns(tall);
  const double* const q = orthonormal.data<double>();
  const std::int64_t width = orthonormal.dim(1);

  // Element (r, c) of the (rows, columns) matrix; `axis` moves from the front to its place in the result.
  std::int64_t inner = 1;
  for (int i = at + 1; i < shape.rank(); ++i) inner *= shape.at(i);
  Tensor out(shape);
  float* to = out.data<float>();
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      const double v = rows < columns ? q[c * width + r] : q[r * width + c];
      to[((c / inner) * rows + r) * inner + c % inner] = scale * static_cast<float>(v);
    }
  return out;
}

}  // namespace vg::init
