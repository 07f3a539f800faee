// The focal loss over a volume of class logits, in one forward and one backward pass (loss_volume.hpp). At a position
// with label y and p = softmax(logits)[y] it is -alpha[y] (1 - p)^gamma log p.
#pragma once

#include "voxgrad/framework/ops/detail/loss_volume.hpp"

namespace vg::detail {

/// A smaller factor changes no float product with a logarithm, and this one is still valid for fast_log.
template <class T>
constexpr T least = static_cast<T>(1e-30);

struct FocalSums {
  double loss = 0;
  std::int64_t positions = 0;  ///< number of positions that are not ignored

  void add(const FocalSums& other) {
    loss += other.loss;
    positions += other.positions;
  }
};

/// power[i] = q[i]^gamma for q in [0, 1]; 0^0 is 1.
template <std::int64_t W, class T>
void focal_powers(T gamma, const T* q, T* power) {
  if (gamma == T{2}) {
    for (std::int64_t i = 0; i < W; ++i) power[i] = q[i] * q[i];
  } else if (gamma == T{1}) {
    std::copy_n(q, W, power);
  } else {
    for (std::int64_t i = 0; i < W; ++i)
      power[i] = fast_exp_flushed(gamma * fast_log(q[i] > least<T> ? q[i] : least<T>));
    for (std::int64_t i = 0; i < W; ++i) power[i] = q[i] > T{0} || gamma == T{0} ? power[i] : T{0};
  }
}

template <std::int64_t W, class T>
void focal_block(const ClassVolume& v, double gamma, const double* alpha, std::int64_t first, std::int64_t n,
                 const T* z, const T* total, FocalSums& sums) {
  const std::int32_t* labels = v.labels + first;
  T log_p[W] = {}, q[W], power[W];
  for (std::int64_t i = 0; i < W; ++i) q[i] = fast_log(total[i]);
  for (std::int64_t i = 0; i < n; ++i)
    if (v.counts(first + i)) log_p[i] = z[labels[i] * W + i] - q[i];
  for (std::int64_t i = 0; i < W; ++i) q[i] = T{1} - fast_exp_flushed(log_p[i]);
  for (std::int64_t i = 0; i < W; ++i) q[i] = q[i] > T{0} ? q[i] : T{0};  // a NaN stays in log_p
  focal_powers<W>(static_cast<T>(gamma), q, power);
  for (std::int64_t i = 0; i < n; ++i) {
    if (!v.counts(first + i)) continue;
    sums.loss -= alpha[labels[i]] * static_cast<double>(power[i] * log_p[i]);
    ++sums.positions;
  }
}

/// Computes the sum, not the mean. Labels must have been checked; alpha has one entry per class.
template <class T>
FocalSums focal_forward(const ClassVolume& v, double gamma, const double* alpha, const T* logits) {
  return sum_blocks(
      v, logits, false, FocalSums{},
      [&](auto width, std::int64_t first, std::int64_t n, const T* z, const T*, const T* total, auto& sums) {
        focal_block<decltype(width)::value>(v, gamma, alpha, first, n, z, total, sums);
      });
}

/// Replaces p = softmax by the gradient row * (p - onehot) with
///   row = alpha[y] ((1 - p)^gamma - gamma (1 - p)^(gamma - 1) p log p),
/// and by zero where the label is ignored.
template <std::int64_t W, class T>
void focal_grad_block(const ClassVolume& v, T gamma, const T* alpha, std::int64_t first, std::int64_t n, T* p) {
  const std::int32_t* labels = v.labels + first;
  T at[W] = {}, q[W], power[W], row[W];
  for (std::int64_t i = 0; i < n; ++i)
    if (v.counts(first + i)) at[i] = p[labels[i] * W + i];
  for (std::int64_t i = 0; i < W; ++i) q[i] = at[i] < T{1} ? T{1} - at[i] : T{0};
  focal_powers<W>(gamma, q, power);
  // If p is 0, so is p log p. If 1 - p is 0, so is the whole term, except for gamma = 0.
  for (std::int64_t i = 0; i < W; ++i) row[i] = at[i] * fast_log(at[i] < least<T> ? least<T> : at[i]);
  for (std::int64_t i = 0; i < W; ++i) row[i] = power[i] - gamma * row[i] * (q[i] > T{0} ? power[i] / q[i] : T{0});
  for (std::int64_t i = 0; i < n; ++i) row[i] *= v.counts(first + i) ? alpha[labels[i]] : T{0};
  for (std::int64_t k = 0; k < v.classes; ++k)
    for (std::int64_t i = 0; i < W; ++i) p[k * W + i] *= row[i];
  for (std::int64_t i = 0; i < n; ++i) {
    if (v.counts(first + i)) {
      p[labels[i] * W + i] -= row[i];
    } else {
      for (std::int64_t k = 0; k < v.classes; ++k) p[k * W + i] = T{0};
    }
  }
}

/// The gradient of `scale` times the sum.
template <class T>
void focal_backward(const ClassVolume& v, double gamma, const double* alpha, double scale, const T* logits, T* grad) {
  memory::Scratch<T> scaled(v.classes);
  for (std::int64_t k = 0; k < v.classes; ++k) scaled.data()[k] = static_cast<T>(alpha[k] * scale);
  grad_blocks(v, logits, grad, [&](auto width, std::int64_t first, std::int64_t n, T* p) {
    focal_grad_block<decltype(width)::value>(v, static_cast<T>(gamma), scaled.data(), first, n, p);
  });
}

}  // namespace vg::detail
