#include "support/plain.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace vg::test {

void each_index(const Shape& shape, const std::function<void(const Index&)>& f) {
  Index index(shape.size(), 0);
  for (std::int64_t n = shape.numel(); n-- > 0;) {
    f(index);
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
}

double at(const Tensor& x, const Index& index) {
  const std::size_t lead = index.size() - x.shape().size();
  std::int64_t flat = 0;
  for (std::size_t d = 0; d < x.shape().size(); ++d)
    flat = flat * x.shape()[d] + (x.shape()[d] == 1 ? 0 : index[lead + d]);
  return x.value_at(flat);
}

Tensor build(const Shape& shape, const std::function<double(const Index&)>& f) {
  Tensor t(shape, f64);
  std::int64_t i = 0;
  double* p = t.data<double>();
  each_index(shape, [&](const Index& index) { p[i++] = f(index); });
  return t;
}

double at(const Tensor& volume, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t c) {
  const std::int64_t channels = volume.rank() == 4 ? volume.dim(3) : 1;
  return volume.value_at(((i * volume.dim(1) + j) * volume.dim(2) + k) * channels + c);
}

Tensor doubles(std::initializer_list<double> values) {
  return Tensor::of<double>({static_cast<std::int64_t>(values.size())}, values);
}

Tensor numbered(const Shape& shape, DType dtype) { return Tensor::arange(shape.numel(), dtype).reshape(shape); }

std::int64_t Dice::roll(std::int64_t low, std::int64_t high) {
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  return low + static_cast<std::int64_t>((state_ >> 33) % static_cast<std::uint64_t>(high - low + 1));
}

Tensor numbers(const Shape& shape, DType dtype, std::uint64_t seed, double low, double high) {
  Dice dice(seed + 77);
  Tensor t(shape, f64);
  double* p = t.data<double>();
  for (std::int64_t i = 0; i < t.numel(); ++i)
    p[i] = low + (high - low) * static_cast<double>(dice.roll(0, (1 << 24) - 1)) / (1 << 24);
  return t.to(dtype);
}

double distance(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.value_at(i), y = b.value_at(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double d = std::abs(x - y) / std::max(1.0, std::abs(y));
    worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(worst, d);
  }
  return worst;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.numel() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.bytes())) == 0);
}

}  // namespace vg::test
