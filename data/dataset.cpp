#include "voxgrad/data/dataset.hpp"

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <utility>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

namespace {

/// A copy of t[index].
Tensor row(const Tensor& t, std::int64_t index) {
  Tensor out(Shape(std::span<const std::int64_t>(t.shape().begin() + 1, t.shape().end())), t.dtype());
  if (out.bytes() > 0)
    std::memcpy(out.raw(), static_cast<const char*>(t.raw()) + index * out.bytes(),
                static_cast<std::size_t>(out.bytes()));
  return out;
}

}  // namespace

void Dataset::check_index(std::int64_t index) const {
  if (index < 0 || index >= size())
    throw ValueError(fmt::format("[dataset] index: got {}; it must be in [0, {})", index, size()));
}

TensorDataset::TensorDataset(Tensor x, Tensor y) : x_(std::move(x)), y_(std::move(y)) {
  if (!x_.defined() || x_.rank() < 1)
    throw ValueError("[TensorDataset] x: it must be defined and have at least one axis");
  if (!y_.defined()) return;
  if (y_.rank() < 1 || y_.dim(0) != x_.dim(0))
    throw ValueError(fmt::format("[TensorDataset] y: got shape {}; its first extent must be that of x, {}",
                                 y_.shape().str(), x_.dim(0)));
}

Sample TensorDataset::get(std::int64_t index) const {
  check_index(index);
  return {row(x_, index), y_.defined() ? row(y_, index) : Tensor{}};
}

Sample SampleDataset::get(std::int64_t index) const {
  check_index(index);
  return samples_[static_cast<std::size_t>(index)];
}

FunctionDataset::FunctionDataset(std::int64_t size, std::function<Sample(std::int64_t)> make)
    : size_(size), make_(std::move(make)) {
  if (size_ < 0) throw ValueError(fmt::format("[FunctionDataset] size: got {}; it must not be negative", size_));
  if (!make_) throw ValueError("[FunctionDataset] make: the function is empty");
}

Sample FunctionDataset::get(std::int64_t index) const {
  check_index(index);
  return make_(index);
}

Subset::Subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices)
    : dataset_(std::move(dataset)), indices_(std::move(indices)) {
  if (!dataset_) throw ValueError("[Subset] dataset: the pointer is empty");
  for (const std::int64_t index : indices_)
    if (index < 0 || index >= dataset_->size())
      throw ValueError(fmt::format("[Subset] indices: got {}; they must be in [0, {})", index, dataset_->size()));
}

Sample Subset::get(std::int64_t index) const {
  check_index(index);
  return dataset_->get(indices_[static_cast<std::size_t>(index)]);
}

}  // namespace vg
