// DataLoader: batches of a dataset in an order that is a function of (seed, epoch), so that training can stop and
// resume.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/data/dataset.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/nn/description.hpp"

namespace vg {

/// A function applied to each sample when it is loaded, for augmentation. The key is a function of (seed, epoch, sample
/// index). The transform owns the sample's memory and may change it in place: tensors that the dataset keeps are copied
/// first.
using Transform = std::function<Sample(const Sample&, const random::Key&)>;

/// Samples stacked along a new first axis. y is undefined if theirs are.
struct Batch {
  Tensor x;
  Tensor y;
  std::vector<std::int64_t> indices;  ///< the samples' indices in the dataset
};

struct DataLoaderOptions {
  std::int64_t batch_size = 1;
  bool shuffle = false;
  bool drop_last = false;  ///< leave out the last batch of an epoch if it is not full
  std::uint64_t seed = 0;  ///< for the order and for the transform's keys
  Transform transform = {};
};

/// A cursor over endless epochs of batches. `next()` returns one batch; `for (const vg::Batch& batch : loader)` visits
/// the rest of the current epoch, which is all of it unless some batches were already taken. If the state is saved
/// after a batch and loaded into a loader over the same data, the following batches are the same.
class DataLoader : public Stateful {
 public:
  /// Throws ValueError for an empty pointer, a batch size below 1, and if an epoch has no batch.
  DataLoader(std::shared_ptr<const Dataset> dataset, DataLoaderOptions options);
  /// Moves the dataset into the loader.
  template <std::derived_from<Dataset> D>
  DataLoader(D dataset, DataLoaderOptions options)
      : DataLoader(std::shared_ptr<const Dataset>(std::make_shared<D>(std::move(dataset))), std::move(options)) {}

  const Dataset& dataset() const { return *dataset_; }
  const DataLoaderOptions& options() const { return options_; }
  std::int64_t batches_per_epoch() const;
  /// The epoch and position of the next batch. After the last batch of epoch e they are e + 1 and 0.
  std::int64_t epoch() const { return epoch_; }
  std::int64_t position() const { return position_; }
  /// Makes batch `position` of `epoch` the next one. Throws ValueError unless 0 <= epoch and 0 <= position <
  /// batches_per_epoch().
  void seek(std::int64_t epoch, std::int64_t position = 0);

  /// Returns the next batch; the next epoch follows the last batch of an epoch. Throws ValueError naming the sample if
  /// samples of a batch differ in shape or dtype, and any exception of the dataset or the transform. After an exception
  /// the loader's position is unchanged.
  Batch next();
  /// The sample order of an epoch, a permutation of [0, size).
  std::vector<std::int64_t> order(std::int64_t epoch) const;

  /// Iterates to the end of its epoch.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    using pointer = const Batch*;
    using reference = const Batch&;
    explicit Iterator(DataLoader& loader) : loader_(&loader), epoch_(loader.epoch()), batch_(loader.next()) {}
    const Batch& operator*() const { return batch_; }
    const Batch* operator->() const { return &batch_; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) { return it.loader_ == nullptr; }

   private:
    DataLoader* loader_;
    std::int64_t epoch_;
    Batch batch_;
  };
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

  /// Saves epoch, position and seed, which load_state() takes over, and the settings that must agree unless other
  /// settings are allowed: the dataset's size, batch_size, shuffle and drop_last.
  StateDict save_state() const override;
  std::vector<std::string> check_state(const StateDict& state) const override;
  void load_state(const StateDict& state) override;
  /// Lets load_state() load the state of a loader with another dataset size or other options, for example more data or
  /// another batch size. This loader's settings stay. If the settings differ and the saved position is within an epoch,
  /// the loader starts at the next epoch.
  void allow_other_settings(bool on = true) { other_settings_ = on; }

 private:
  std::vector<std::string> differences(const StateDict& state) const;
  Sample sample(std::int64_t index) const;

  std::shared_ptr<const Dataset> dataset_;
  DataLoaderOptions options_;
  std::int64_t size_ = 0;
  std::int64_t epoch_ = 0;
  std::int64_t position_ = 0;
  bool other_settings_ = false;
  std::int64_t ordered_epoch_ = -1;  ///< the epoch of order_
  std::vector<std::int64_t> order_;
};

/// Stacks samples along a new first axis. Throws ValueError, naming the sample by its entry in `indices`, if shapes or
/// dtypes differ.
Batch stack_samples(const std::vector<Sample>& samples, std::vector<std::int64_t> indices);

}  // namespace vg
