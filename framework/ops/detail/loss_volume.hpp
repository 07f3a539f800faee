// Cross entropy and soft dice over a volume of class logits, in one forward and one backward pass that share the
// softmax. Positions are processed in blocks transposed to [class][position] (norm_softmax.hpp). Sums are accumulated
// in double and combined in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/detail/norm_softmax.hpp"

namespace vg::detail {

struct ClassVolume {
  std::int64_t positions, classes;
  const std::int32_t* labels;
  bool has_ignored;
  std::int32_t ignored;

  bool counts(std::int64_t p) const { return !has_ignored || labels[p] != ignored; }
  /// Whether any position is not ignored.
  bool any_counts() const {
    std::int64_t p = 0;
    while (p < positions && !counts(p)) ++p;
    return p < positions;
  }
  SoftmaxLayout layout() const { return {positions, classes, 1}; }
  /// Positions per task: a multiple of every block size.
  std::int64_t grain() const { return 64 * std::max<std::int64_t>(1, 512 / classes); }
  std::int64_t tasks() const { return (positions + grain() - 1) / grain(); }
};

/// The sums that one pass computes.
struct VolumeSums {
  explicit VolumeSums(std::int64_t classes)
      : overlap(static_cast<std::size_t>(classes)),
        predicted(static_cast<std::size_t>(classes)),
        present(static_cast<std::size_t>(classes)) {}
  double nll = 0;                                   ///< sum over positions of weight[label] * -log p[label]
  double weight = 0;                                ///< sum of weight[label]
  double smooth = 0;                                ///< sum over positions and classes of weight[k] * -log p[k]
  std::vector<double> overlap, predicted, present;  ///< per class: sums of p * t, p and t

  void add(const VolumeSums& other) {
    nll += other.nll;
    weight += other.weight;
    smooth += other.smooth;
    for (std::size_t k = 0; k < overlap.size(); ++k) {
      overlap[k] += other.overlap[k];
      predicted[k] += other.predicted[k];
      present[k] += other.present[k];
    }
  }
};

struct VolumeWants {
  bool cross_entropy, dice, smoothing;
};

/// The sums of one block: z is the logits minus their maximum, e = exp(z) (if dice is needed), total the sum of exp(z).
template <std::int64_t W, class T>
void volume_block(const ClassVolume& v, const VolumeWants& want, const double* weight, std::int64_t first,
                  std::int64_t n, const T* z, const T* e, T* total, VolumeSums& sums) {
  const std::int32_t* labels = v.labels + first;
  if (want.dice) {
    T inverse[W] = {};
    for (std::int64_t i = 0; i < n; ++i) inverse[i] = v.counts(first + i) ? T{1} / total[i] : T{0};
    for (std::int64_t k = 0; k < v.classes; ++k) {
      T p[W], lanes[8] = {};
      for (std::int64_t i = 0; i < W; ++i) p[i] = e[k * W + i] * inverse[i];
      // e * 0 would not do for an ignored position, because its logits may be NaN.
      for (std::int64_t i = 0; i < W; ++i) lanes[i % 8] += inverse[i] == T{0} ? T{0} : p[i];
      for (T lane : lanes) sums.predicted[static_cast<std::size_t>(k)] += static_cast<double>(lane);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      if (!v.counts(first + i)) continue;
      const auto k = static_cast<std::size_t>(labels[i]);
      sums.overlap[k] += static_cast<double>(e[labels[i] * W + i] * inverse[i]);
      sums.present[k] += 1;
    }
  }
  if (!want.cross_entropy) return;
  T logs[W];
  for (std::int64_t i = 0; i < W; ++i) logs[i] = fast_log(total[i]);
  for (std::int64_t i = 0; i < n; ++i) {
    if (!v.counts(first + i)) continue;
    const double w = weight[labels[i]];
    sums.nll += w * static_cast<double>(logs[i] - z[labels[i] * W + i]);
    sums.weight += w;
    for (std::int64_t k = 0; k < v.classes && want.smoothing; ++k)
      sums.smooth += weight[k] * static_cast<double>(logs[i] - z[k * W + i]);
  }
}

/// One pass. block(width, first, n, z, e, total, sums) adds the contributions of positions [first, first + n). width is
/// the number of positions per block, a constant. z is the logits minus their maximum as [class][position], total the
/// sum of exp(z), and e = exp(z) if `wants_e`, else null. Each task has its own copy of `zero`; the copies are added in
/// order.
template <class T, class Sums, class Block>
Sums sum_blocks(const ClassVolume& v, const T* logits, bool wants_e, const Sums& zero, Block&& block) {
  std::vector<Sums> parts(static_cast<std::size_t>(v.tasks()), zero);
  with_softmax_block(v.classes, [&](auto width) {
    constexpr std::int64_t w = decltype(width)::value;
    parallel_for(v.tasks(), [&](std::int64_t task) {
      memory::Scratch<T> zs(2 * w * v.classes);
      T *z = zs.data(), *e = wants_e ? z + w * v.classes : nullptr, total[w];
      Sums sums = zero;  // own memory, because neighbouring tasks' sums share cache lines
      for (std::int64_t p = task * v.grain(), end = std::min(v.positions, p + v.grain()); p < end; p += w) {
        const std::int64_t n = std::min(w, end - p);
        softmax_load<w>(v.layout(), logits, p, n, z);
        softmax_sum<w>(v.classes, z, e, total);
        block(width, p, n, z, e, total, sums);
      }
      parts[static_cast<std::size_t>(task)] = std::move(sums);
    });
  });
  Sums all = zero;
  for (const Sums& part : parts) all.add(part);
  return all;
}

/// Labels must have been checked.
template <class T>
VolumeSums volume_forward(const ClassVolume& v, const VolumeWants& want, const double* weight, const T* logits) {
  return sum_blocks(v, logits, want.dice, VolumeSums(v.classes),
                    [&](auto width, std::int64_t first, std::int64_t n, const T* z, const T* e, T* total, auto& sums) {
                      volume_block<decltype(width)::value>(v, want, weight, first, n, z, e, total, sums);
                    });
}

/// The gradient at one position for class k is
///   p_k * (row[label] - sum_j p_j a_j + a_k) - (hit[label] if k is the label) - smooth[k],
///   a_k = dice[k] + (dice_hit[k] if k is the label),
/// and zero where the label is ignored. All tables have one entry per class.
struct VolumeSlopes {
  std::vector<double> row, hit, smooth, dice, dice_hit;
  bool has_dice = false;
};

/// Replaces p = softmax, [class][position], by the gradient.
template <std::int64_t W, class T>
void volume_grad_block(const ClassVolume& v, const VolumeSlopes& s, std::int64_t first, std::int64_t n, T* p,
                       const T* tables) {
  const std::int32_t* labels = v.labels + first;
  const T *hit = tables + v.classes, *smooth = hit + v.classes, *dice = smooth + v.classes,
          *dice_hit = dice + v.classes;
  T row[W] = {}, extra[W] = {};  // the factor of p; the term of dice at the label
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t k = v.counts(first + i) ? labels[i] : 0;
    row[i] = tables[k];
    extra[i] = s.has_dice ? p[k * W + i] * dice_hit[k] : T{0};
  }
  if (s.has_dice) {
    for (std::int64_t i = 0; i < W; ++i) row[i] -= extra[i];
    for (std::int64_t k = 0; k < v.classes; ++k)
      for (std::int64_t i = 0; i < W; ++i) row[i] -= p[k * W + i] * dice[k];
  }
  for (std::int64_t k = 0; k < v.classes; ++k) {
    const T a = dice[k], less = smooth[k];
    for (std::int64_t i = 0; i < W; ++i) p[k * W + i] = p[k * W + i] * (row[i] + a) - less;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    if (v.counts(first + i)) {
      p[labels[i] * W + i] += extra[i] - hit[labels[i]];
    } else {
      for (std::int64_t k = 0; k < v.classes; ++k) p[k * W + i] = T{0};
    }
  }
}

/// Another pass: block(width, first, n, p) replaces p = softmax, [class][position], by the gradient.
template <class T, class Block>
void grad_blocks(const ClassVolume& v, const T* logits, T* grad, Block&& block) {
  with_softmax_block(v.classes, [&](auto width) {
    constexpr std::int64_t w = decltype(width)::value;
    parallel_ranges(v.positions, v.grain(), [&](std::int64_t begin, std::int64_t end) {
      memory::Scratch<T> ps(w * v.classes);
      T *p = ps.data(), total[w];
      for (std::int64_t at = begin; at < end; at += w) {
        const std::int64_t n = std::min(w, end - at);
        softmax_load<w>(v.layout(), logits, at, n, p);
        softmax_sum<w>(v.classes, p, p, total);
        for (std::int64_t i = 0; i < w; ++i) total[i] = T{1} / total[i];
        for (std::int64_t k = 0; k < v.classes; ++k)
          for (std::int64_t i = 0; i < w; ++i) p[k * w + i] *= total[i];
        block(width, at, n, p);
        softmax_store<w>(v.layout(), p, at, n, grad);
      }
    });
  });
}

template <class T>
void volume_backward(const ClassVolume& v, const VolumeSlopes& s, const T* logits, T* grad) {
  memory::Scratch<T> tables(5 * v.classes);
  T* to = tables.data();
  for (const auto* table : {&s.row, &s.hit, &s.smooth, &s.dice, &s.dice_hit})
    for (double value : *table) *to++ = static_cast<T>(value);
  grad_blocks(v, logits, grad, [&](auto width, std::int64_t first, std::int64_t n, T* p) {
    volume_grad_block<decltype(width)::value>(v, s, first, n, p, tables.data());
  });
}

}  // namespace vg::detail
