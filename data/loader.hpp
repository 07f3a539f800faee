// DataLoader: batches of a dataset in an order that is a function of (seed, epoch), so that training can stop and go
// on.
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

/// What is done to a sample when it is loaded: augmentation. The key is a function of (seed, epoch, sample index). The
/// sample's memory is the transform's own, so it may be changed in place: what the dataset keeps itself is copied
/// first.
using Transform = std::function<Sample(const Sample&, const random::Key&)>;

/// Samples stacked along a new first axis. y is undefined when theirs are.
struct Batch {
  Tensor x;
  Tensor y;
  std::vector<std::int64_t> indices;  ///< which samples these are
};

struct DataLoaderOptions {
  std::int64_t batch_size = 1;
  bool shuffle = false;
  bool drop_last = false;  ///< leave out the last batch of an epoch when it is not full
  std::uint64_t seed = 0;  ///< of the order and of the transform's keys
  Transform transform = {};
};

/// A cursor over endless epochs of batches. `next()` gives one batch; `for (const vg::Batch& batch : loader)` gives
/// what is left of the current epoch, which is all of it unless it was entered before. With the state saved after a
/// batch and loaded into a loader over the same data, the batches that follow are the same.
class DataLoader : public Stateful {
 public:
  /// Throws ValueError for an empty pointer, a batch size below 1, or when an epoch has no batch.
  DataLoader(std::shared_ptr<const Dataset> dataset, DataLoaderOptions options);
  /// Takes the dataset over.
  template <std::derived_from<Dataset> D>
  DataLoader(D dataset, DataLoaderOptions options)
      : DataLoader(std::shared_ptr<const Dataset>(std::make_shared<D>(std::move(dataset))), std::move(options)) {}

  const Dataset& dataset() const { return *dataset_; }
  const DataLoaderOptions& options() const { return options_; }
  std::int64_t batches_per_epoch() const;
  /// Of the batch that comes next. After the last batch of epoch e these are e + 1 and 0.
  std::int64_t epoch() const { return epoch_; }
  std::int64_t position() const { return position_; }
  /// Makes batch `position` of `epoch` the next. Throws ValueError unless 0 <= epoch and 0 <= position <
  /// batches_per_epoch().
  void seek(std::int64_t epoch, std::int64_t position = 0);

  /// The next batch, going on with the next epoch after the last. Throws ValueError naming the sample when samples of a
  /// batch differ in shape or dtype, and whatever the dataset or the transform throws; the loader then stands where it
  /// stood.
  Batch next();
  /// The sample order of an epoch: each of [0, size) once.
  std::vector<std::int64_t> order(std::int64_t epoch) const;

  /// Ends with its epoch.
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

  /// Epoch, position and seed (which loading takes over), and what must be the same unless other settings are allowed:
  /// the dataset's size, batch_size, shuffle, drop_last.
  StateDict save_state() const override;
  std::vector<std::string> check_state(const StateDict& state) const override;
  void load_state(const StateDict& state) override;
  /// Lets load_state() take the state of a loader with another dataset size or other options: more data, another batch
  /// size. Those here stay. Within an epoch the position means nothing then: the next epoch begins.
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

/// Stacks samples along a new first axis. Throws ValueError, naming the sample by its `indices` entry, when shapes or
/// dtypes differ.
Batch stack_samples(const std::vector<Sample>& samples, std::vector<std::int64_t> indices);

}  // namespace vg
