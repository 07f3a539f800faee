#include "voxgrad/framework/kernels/common/epilogue.hpp"

#include <algorithm>

#include "voxgrad/framework/base/threads.hpp"

namespace vg::kernels {

using std::int64_t;

void Moments::begin(int64_t tasks) { tasks_.assign(static_cast<std::size_t>(tasks), {}); }

template <class T>
void Moments::add(int64_t task, int64_t first, int64_t rows, const T* x) {
  std::vector<Chunk>& chunks = tasks_[static_cast<std::size_t>(task)];
  while (rows > 0) {
    const int64_t sample = first / sample_rows_, n = std::min(rows, (sample + 1) * sample_rows_ - first);
    if (chunks.empty() || chunks.back().sample != sample) {
      chunks.push_back({sample, 0, std::vector<double>(static_cast<std::size_t>(3 * channels_))});
      std::copy_n(x, channels_, chunks.back().stats.data());
    }
    double* const centre = chunks.back().stats.data();
    current_table<T>().channel_moments(n, channels_, x, centre, centre + channels_, centre + 2 * channels_);
    chunks.back().rows += n;
    first += n;
    rows -= n;
    x += n * channels_;
  }
}

namespace {

// Rows of about this length are fast in the kernels, which would otherwise repeat the numbers in each call.
constexpr int64_t wide_row = 128;

template <class T>
std::vector<T> repeated(const T* numbers, int64_t n, int64_t times) {
  std::vector<T> all;
  for (int64_t i = 0; numbers != nullptr && i < times; ++i) all.insert(all.end(), numbers, numbers + n);
  return all;
}

}  // namespace

template <class T>
Epilogue<T>::Epilogue(const ChannelMap<T>& map)
    : channels_(map.channels),
      together_(std::max<int64_t>(1, wide_row / std::max<int64_t>(1, map.channels))),
      centred_(map.factor != nullptr),
      activation_(map.activation),
      centre_(repeated(map.centre, channels_, together_)),
      factor_(repeated(map.factor, channels_, together_)),
      shift_(repeated(map.shift, channels_, together_)) {}

template <class T>
ChannelMap<T> Epilogue<T>::map_of(int64_t rows, int64_t channels) const {
  return {rows,          channels,   centred_ ? centre_.data() : nullptr, centred_ ? factor_.data() : nullptr,
          shift_.data(), activation_};
}

template <class T>
bool Epilogue<T>::begin(int64_t tasks, bool whole_voxels) const {
  if (whole_voxels && moments_ != nullptr) moments_->begin(tasks);
  return whole_voxels && any();
}

template <class T>
void Epilogue<T>::apply(int64_t task, int64_t first, int64_t rows, T* y) const {
  if (moments_ != nullptr) return moments_->add(task, first, rows, y);
  const int64_t wide = rows / together_, done = wide * together_;
  if (wide > 0) current_table<T>().map_channels(map_of(wide, together_ * channels_), y, nullptr, y);
  T* const rest = y + done * channels_;
  if (done < rows) current_table<T>().map_channels(map_of(rows - done, channels_), rest, nullptr, rest);
}

template <class T>
void Epilogue<T>::pass(int64_t rows, int64_t channels, T* y) const {
  if (!any() || channels == 0) return;
  const int64_t step = std::max<int64_t>(1, 32768 / channels), tasks = (rows + step - 1) / step;
  begin(tasks);
  parallel_for(tasks, [&](int64_t task) {
    const int64_t first = task * step;
    apply(task, first, std::min(step, rows - first), y + first * channels);
  });
}

template void Moments::add(int64_t, int64_t, int64_t, const float*);
template void Moments::add(int64_t, int64_t, int64_t, const double*);
template class Epilogue<float>;
template class Epilogue<double>;

}  // namespace vg::kernels
