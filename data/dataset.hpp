// Datasets: a number of samples, each loaded or computed on demand.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// One sample without a batch axis. x is usually (H, W, D, C); y is a label map (H, W, D), a class (rank 0, i32), any
/// other target, or undefined.
struct Sample {
  Tensor x;
  Tensor y;
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;
  /// Returns sample `index` in [0, size()), the same at every call. The caller must not write to its tensors unless
  /// they are unique(). Throws ValueError for any other index.
  virtual Sample get(std::int64_t index) const = 0;

 protected:
  /// Throws ValueError unless 0 <= index < size().
  void check_index(std::int64_t index) const;
};

/// The rows of one or two tensors: sample i has copies of x[i] and y[i], without the first axis.
class TensorDataset : public Dataset {
 public:
  /// y may be undefined. Throws ValueError if x is undefined or a scalar, or if the first extents differ.
  explicit TensorDataset(Tensor x, Tensor y = {});
  std::int64_t size() const override { return x_.dim(0); }
  Sample get(std::int64_t index) const override;

 private:
  Tensor x_;
  Tensor y_;
};

/// Individual samples in memory, for volumes of different shapes.
class SampleDataset : public Dataset {
 public:
  explicit SampleDataset(std::vector<Sample> samples) : samples_(std::move(samples)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(samples_.size()); }
  Sample get(std::int64_t index) const override;

 private:
  std::vector<Sample> samples_;
};

/// Samples that a function makes, for example by reading a file. It must return the same sample for the same index.
class FunctionDataset : public Dataset {
 public:
  /// Throws ValueError for a negative size or an empty function.
  FunctionDataset(std::int64_t size, std::function<Sample(std::int64_t)> make);
  std::int64_t size() const override { return size_; }
  Sample get(std::int64_t index) const override;

 private:
  std::int64_t size_;
  std::function<Sample(std::int64_t)> make_;
};

/// Some samples of another dataset, in the given order, for example those for training or for validation.
class Subset : public Dataset {
 public:
  /// Throws ValueError if the pointer is empty or an index is outside the dataset.
  Subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices);
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  Sample get(std::int64_t index) const override;

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::int64_t> indices_;
};

}  // namespace vg
