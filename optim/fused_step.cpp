#include "voxgrad/optim/fused_step.hpp"

#include <algorithm>

#include "voxgrad/framework/base/threads.hpp"

namespace vg::detail {

void FusedStep::clear() {
  loops_.clear();
  sums_.clear();
  pieces_.clear();
  tasks_.clear();
  elements_ = 0;
}

void FusedStep::add(std::int64_t n) {
  for (std::int64_t begin = 0; begin < n; begin += update_grain) {
    const std::int64_t end = std::min(begin + update_grain, n);
    if (tasks_.empty() || in_task_ >= task_grain) {
      tasks_.push_back(pieces_.size());
      in_task_ = 0;
    }
    pieces_.push_back({loops_.size(), begin, end, {}});
    in_task_ += end - begin;
  }
  elements_ += n;
  loops_.emplace_back();
  sums_.emplace_back();
}

void FusedStep::run() {
  const auto run_task = [&](std::int64_t t) {
    const auto task = static_cast<std::size_t>(t);
    const std::size_t last = task + 1 < tasks_.size() ? tasks_[task + 1] : pieces_.size();
    for (std::size_t i = tasks_[task]; i < last; ++i) {
      Piece& p = pieces_[i];
      p.sums = loops_[p.leaf](p.begin, p.end);
    }
  };
  parallel_for(static_cast<std::int64_t>(tasks_.size()), run_task, elements_ <= serial_pass);
  std::fill(sums_.begin(), sums_.end(), LeafSums{});
  for (const Piece& p : pieces_)
    for (std::size_t k = 0; k < p.sums.size(); ++k) sums_[p.leaf][k] += p.sums[k];
}

}  // namespace vg::detail
