#include "voxgrad/data/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "voxgrad/data/keys.hpp"
#include "voxgrad/framework/base/error.hpp"

namespace vg {

namespace {

/// The purposes for which keys are derived from a loader's seed.
enum Stream : std::int64_t { order_stream = 0, transform_stream = 1 };

std::string described(const Tensor& t) { return t.defined() ? form(t) : std::string("undefined"); }

/// Stacks the tensors `part(sample)` along a new first axis.
template <class Part>
Tensor stack_part(const std::vector<Sample>& samples, const std::vector<std::int64_t>& indices, const char* name,
                  Part part) {
  const Tensor& first = part(samples.front());
  for (std::size_t i = 1; i < samples.size(); ++i) {
    const Tensor& t = part(samples[i]);
    if (t.defined() != first.defined() || t.shape() != first.shape() || t.dtype() != first.dtype())
      throw ValueError(fmt::format("[DataLoader] sample {}: its {} is {}; in a batch it must be as in sample {}, {}",
                                   indices[i], name, described(t), indices.front(), described(first)));
  }
  if (!first.defined()) return {};
  std::vector<std::int64_t> extents = {static_cast<std::int64_t>(samples.size())};
  extents.insert(extents.end(), first.shape().begin(), first.shape().end());
  Tensor out(Shape(extents), first.dtype());
  const auto bytes = static_cast<std::size_t>(first.bytes());
  for (std::size_t i = 0; i < samples.size() && bytes > 0; ++i)
    std::memcpy(static_cast<char*>(out.raw()) + i * bytes, part(samples[i]).raw(), bytes);
  return out;
}

/// The value of that name and type. If there is none, returns nullptr and adds a line to `problems`.
template <class T>
const T* find(const StateDict& state, std::string_view name, std::vector<std::string>& problems) {
  for (const auto& [key, value] : state.values)
    if (key == name && std::holds_alternative<T>(value)) return &std::get<T>(value);
  problems.push_back(fmt::format("[DataLoader] value \"{}\" is missing or of another type", name));
  return nullptr;
}

template <class T>
void require_same(const StateDict& state, std::string_view name, const T& wanted, std::vector<std::string>& problems) {
  const T* saved = find<T>(state, name, problems);
  if (saved != nullptr && *saved != wanted)
    problems.push_back(fmt::format("[DataLoader] {}: the state has {}; this loader has {}", name, *saved, wanted));
}

}  // namespace

Batch stack_samples(const std::vector<Sample>& samples, std::vector<std::int64_t> indices) {
  if (samples.empty() || samples.size() != indices.size())
    throw ValueError(
        fmt::format("[stack_samples] got {} samples and {} indices; at least one of each is needed, and as many",
                    samples.size(), indices.size()));
  if (!samples.front().x.defined())
    throw ValueError(fmt::format("[DataLoader] sample {}: its x is undefined", indices.front()));
  Batch batch;
  batch.x = stack_part(samples, indices, "x", [](const Sample& s) -> const Tensor& { return s.x; });
  batch.y = stack_part(samples, indices, "y", [](const Sample& s) -> const Tensor& { return s.y; });
  batch.indices = std::move(indices);
  return batch;
}

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, DataLoaderOptions options)
    : dataset_(std::move(dataset)), options_(std::move(options)) {
  if (!dataset_) throw ValueError("[DataLoader] dataset: the pointer is empty");
  if (options_.batch_size < 1)
    throw ValueError(fmt::format("[DataLoader] batch_size: got {}; it must be at least 1", options_.batch_size));
  size_ = dataset_->size();
  if (batches_per_epoch() < 1)
    throw ValueError(
        fmt::format("[DataLoader] dataset: got {} samples; with batch_size {} and drop_last {} an epoch has no batch",
                    size_, options_.batch_size, options_.drop_last));
}

std::int64_t DataLoader::batches_per_epoch() const {
  const bool rest = size_ % options_.batch_size != 0 && !options_.drop_last;
  return size_ / options_.batch_size + (rest ? 1 : 0);
}

void DataLoader::seek(std::int64_t epoch, std::int64_t position) {
  if (epoch < 0 || position < 0 || position >= batches_per_epoch())
    throw ValueError(
        fmt::format("[DataLoader] seek: got epoch {} and position {}; they must be at least 0, the position below {}",
                    epoch, position, batches_per_epoch()));
  epoch_ = epoch;
  position_ = position;
}

std::vector<std::int64_t> DataLoader::order(std::int64_t epoch) const {
  if (options_.shuffle)
    return random::permutation(random::fold_in(random::fold_in(random::key_of(options_.seed), order_stream), epoch),
                               size_);
  std::vector<std::int64_t> out(static_cast<std::size_t>(size_));
  std::iota(out.begin(), out.end(), std::int64_t{0});
  return out;
}

Sample DataLoader::sample(std::int64_t index) const {
  Sample sample = dataset_->get(index);
  if (!options_.transform) return sample;
  // A transform may write to its sample in place, but not into the dataset's memory.
  for (Tensor* t : {&sample.x, &sample.y})
    if (t->defined()) t->make_unique();
  const random::Key epoch_key =
      random::fold_in(random::fold_in(random::key_of(options_.seed), transform_stream), epoch_);
  return options_.transform(sample, random::fold_in(epoch_key, index));
}

Batch DataLoader::next() {
  if (ordered_epoch_ != epoch_) {
    order_ = order(epoch_);
    ordered_epoch_ = epoch_;
  }
  const auto begin = order_.begin() + position_ * options_.batch_size;
  std::vector<std::int64_t> indices(begin, begin + std::min<std::int64_t>(options_.batch_size, order_.end() - begin));
  std::vector<Sample> samples;
  for (const std::int64_t index : indices) samples.push_back(sample(index));
  Batch batch = stack_samples(samples, std::move(indices));
  if (++position_ == batches_per_epoch()) {
    position_ = 0;
    ++epoch_;
  }
  return batch;
}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  if (loader_->epoch() == epoch_)
    batch_ = loader_->next();
  else
    loader_ = nullptr;
  return *this;
}

StateDict DataLoader::save_state() const {
  StateDict state;
  state.values = {{"epoch", epoch_},
                  {"position", position_},
                  {"seed", std::bit_cast<std::int64_t>(options_.seed)},
                  {"size", size_},
                  {"batch_size", options_.batch_size},
                  {"shuffle", options_.shuffle},
                  {"drop_last", options_.drop_last}};
  return state;
}

std::vector<std::string> DataLoader::differences(const StateDict& state) const {
  std::vector<std::string> problems;
  require_same(state, "size", size_, problems);
  require_same(state, "batch_size", options_.batch_size, problems);
  require_same(state, "shuffle", options_.shuffle, problems);
  require_same(state, "drop_last", options_.drop_last, problems);
  return problems;
}

std::vector<std::string> DataLoader::check_state(const StateDict& state) const {
  std::vector<std::string> problems;
  const std::vector<std::string> different = differences(state);
  const bool counts = different.empty() || !other_settings_;  // whether the position counts
  const auto* epoch = find<std::int64_t>(state, "epoch", problems);
  if (epoch != nullptr && *epoch < 0)
    problems.push_back(fmt::format("[DataLoader] epoch: the state has {}; it must not be negative", *epoch));
  const auto* position = find<std::int64_t>(state, "position", problems);
  if (position != nullptr && (*position < 0 || (counts && *position >= batches_per_epoch())))
    problems.push_back(
        fmt::format("[DataLoader] position: the state has {}; it must be in [0, {})", *position, batches_per_epoch()));
  find<std::int64_t>(state, "seed", problems);
  if (other_settings_ || different.empty()) return problems;
  problems.insert(problems.end(), different.begin(), different.end());
  problems.emplace_back(
      "(to go on with this dataset and these options: loader.allow_other_settings() before the load)");
  return problems;
}

void DataLoader::load_state(const StateDict& state) {
  options_.seed = std::bit_cast<std::uint64_t>(state.get<std::int64_t>("seed"));
  epoch_ = state.get<std::int64_t>("epoch");
  position_ = state.get<std::int64_t>("position");
  if (position_ != 0 && !differences(state).empty()) {
    ++epoch_;
    position_ = 0;
  }
  ordered_epoch_ = -1;
}

}  // namespace vg
