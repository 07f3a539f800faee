// Measures the overhead of an op: additions and products of 16 elements, forward and backward, on one thread. Prints
// one JSON line with the shortest time of many chains, in microseconds per op.
#include <algorithm>
#include <cstdio>
#include <limits>

#include <fmt/format.h>
#include <voxgrad/voxgrad.hpp>

#include "stopwatch.hpp"

namespace {

constexpr int ops = 1000, repetitions = 300;

vg::Variable chain(const vg::Variable& x, const vg::Variable& c) {
  vg::Variable y = x;
  for (int i = 0; i < ops; ++i) y = i % 2 == 0 ? y * c : y + c;
  return y;
}

}  // namespace

int main() {
  const vg::Variable c(vg::Tensor::ones({16}));
  double forward = std::numeric_limits<double>::infinity(), backward = forward, unrecorded = forward;
  for (int i = 0; i < repetitions; ++i) {
    const vg::Variable x(vg::Tensor::ones({16}), true);
    const double start = bench::seconds_now();
    const vg::Variable y = chain(x, c);
    const double made = bench::seconds_now();
    const vg::Variable loss = vg::sum(y);
    const double before = bench::seconds_now();
    loss.backward();
    const double walked = bench::seconds_now();
    const vg::NoGradGuard off;
    chain(c, c);
    const double end = bench::seconds_now();
    forward = std::min(forward, made - start);
    backward = std::min(backward, walked - before);
    unrecorded = std::min(unrecorded, end - walked);
  }
  std::puts(fmt::format(R"({{"ops":{},"forward_us":{:.3f},"backward_us":{:.3f},"unrecorded_us":{:.3f}}})", ops,
                        forward / ops * 1e6, backward / ops * 1e6, unrecorded / ops * 1e6)
                .c_str());
}
