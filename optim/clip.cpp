#include "voxgrad/optim/clip.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/nn/fields.hpp"
#include "voxgrad/optim/fused.hpp"

namespace vg {

namespace {

template <class T>
double sum_squares(const T* g, std::int64_t n, double scale) {
  constexpr std::int64_t lanes = 8;  // independent sums, so that consecutive additions can overlap
  double sums[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::int64_t l = 0; l < lanes; ++l) {
      const double v = static_cast<double>(g[i + l]) * scale;
      sums[l] += v * v;
    }
  for (; i < n; ++i) {
    const double v = static_cast<double>(g[i]) * scale;
    sums[i % lanes] += v * v;
  }
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

ParamLoop sum_squares(const Tensor& grad, double scale) {
  return dispatch_float("clip_by_global_norm", grad.dtype(), [&](auto zero) -> ParamLoop {
    using T = decltype(zero);
    return [g = grad.data<T>(), scale](std::int64_t begin, std::int64_t end) {
      return LeafSums{sum_squares(g + begin, end - begin, scale)};
    };
  });
}

// Returns a new tensor with f of every element, because the old buffer may be shared.
template <class F>
Tensor map(const Tensor& grad, F f) {
  Tensor out(grad.shape(), grad.dtype());
  dispatch_float("clip", grad.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = grad.data<T>();
    T* to = out.data<T>();
    parallel_ranges(grad.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = f(from[i]);
    });
  });
  return out;
}

// Access to the gradients in either kind of container: reads all of them, and replaces each.
struct InStates {
  struct Place {
    State state;
    std::string leaf;
  };
  std::vector<Place> places;
  std::vector<Tensor> values;

  explicit InStates(const States& states) {
    std::set<const void*> seen;
    for (const auto& [path, state] : states) {
      if (!seen.insert(state.identity()).second) continue;
      for (const std::string& leaf : state.leaves())
        if (const Variable& g = state[leaf].grad(); g.defined()) {
          places.push_back({state, leaf});
          values.push_back(g.value());
        }
    }
  }
  void set(std::size_t i, const Tensor& value) { places[i].state.set_grad(places[i].leaf, value); }
};

struct InGrads {
  std::vector<Variable*> places;
  std::vector<Tensor> values;

  explicit InGrads(StateGrads& grads) {
    for (auto& entry : grads.entries)
      for (auto& [leaf, g] : entry.leaves)
        if (g.defined()) {
          places.push_back(&g);
          values.push_back(g.value());
        }
  }
  void set(std::size_t i, const Tensor& value) { *places[i] = value; }
};

template <class Gradients>
double clip_norm(Gradients grads, double max_norm, bool error_if_nonfinite) {
  require_in(positive, "clip_by_global_norm", "max_norm", max_norm);
  const double norm = detail::norm_of(grads.values);
  if (error_if_nonfinite && !std::isfinite(norm))
    throw ValueError(fmt::format("[clip_by_global_norm] the norm of the gradients is {}; must be finite", norm));
  const double factor = detail::clip_factor(norm, max_norm);
  if (factor == 1) return norm;
  for (std::size_t i = 0; i < grads.values.size(); ++i)
    grads.set(i, map(grads.values[i], [factor](auto g) { return g * static_cast<decltype(g)>(factor); }));
  return norm;
}

template <class Gradients>
void clip_values(Gradients grads, double max_value) {
  require_in(positive, "clip_by_value", "max_value", max_value);
  for (std::size_t i = 0; i < grads.values.size(); ++i)
    grads.set(i, map(grads.values[i], [max_value](auto g) {
                using T = decltype(g);
                return detail::Prepare<T>{.limit = static_cast<T>(max_value)}(g, T{0});
              }));
}

}  // namespace

namespace detail {

double norm_of(const std::vector<Tensor>& grads) {
  FusedStep pass;
  for (const Tensor& g : grads) pass.add(g.defined() ? g.numel() : 0);
  const auto total = [&](double scale) {
    for (std::size_t i = 0; i < grads.size(); ++i)
      if (grads[i].defined()) pass[i] = sum_squares(grads[i], scale);
    pass.run();
    double sum = 0;
    for (std::size_t i = 0; i < grads.size(); ++i) sum += pass.sums(i)[0];
    return sum;
  };
  const double sum = total(1.0);
  if (!std::isinf(sum)) return std::sqrt(sum);
  constexpr double tiny = 0x1p-600;  // squares overflow f64 from 1e154 on
  return std::sqrt(total(tiny)) / tiny;
}

double clip_factor(double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  return factor > 1 ? 1.0 : factor;
}

}  // namespace detail

double global_norm(const States& states) { return detail::norm_of(InStates(states).values); }
double global_norm(const StateGrads& grads) {
  std::vector<Tensor> values;
  for (const auto& entry : grads.entries)
    for (const auto& [leaf, g] : entry.leaves)
      if (g.defined()) values.push_back(g.value());
  return detail::norm_of(values);
}

double clip_by_global_norm(const States& states, double max_norm, bool error_if_nonfinite) {
  return clip_norm(InStates(states), max_norm, error_if_nonfinite);
}
double clip_by_global_norm(StateGrads& grads, double max_norm, bool error_if_nonfinite) {
  return clip_norm(InGrads(grads), max_norm, error_if_nonfinite);
}

void clip_by_value(const States& states, double max_value) { clip_values(InStates(states), max_value); }
void clip_by_value(StateGrads& grads, double max_value) { clip_values(InGrads(grads), max_value); }

}  // namespace vg
