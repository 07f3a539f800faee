#include "support/op_cases/op_cases.hpp"

#include <cstdint>
#include <numeric>

namespace vg::test {

namespace {
std::vector<OpCase>& table() {
  static std::vector<OpCase> cases;
  return cases;
}
}  // namespace

bool add_op_cases(const std::vector<OpCase>& cases) {
  table().insert(table().end(), cases.begin(), cases.end());
  return true;
}

const std::vector<OpCase>& all_op_cases() { return table(); }

std::vector<Tensor> case_inputs(const OpCase& c) {
  std::int64_t total = 0;
  for (const Shape& s : c.shapes) total += s.numel();
  std::vector<std::int64_t> order(static_cast<std::size_t>(total));
  std::iota(order.begin(), order.end(), 0);
  std::uint64_t state = 12345;
  for (std::size_t i = order.size(); i > 1; --i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::swap(order[i - 1], order[static_cast<std::size_t>((state >> 33) % i)]);
  }
  std::vector<Tensor> inputs;
  std::size_t next = 0;
  for (const Shape& s : c.shapes) {
    Tensor t(s, f64);
    for (std::int64_t i = 0; i < t.numel(); ++i)
      t.data<double>()[i] =
          c.low + (c.high - c.low) * (static_cast<double>(order[next++]) + 0.37) / static_cast<double>(total);
    inputs.push_back(t);
  }
  return inputs;
}

}  // namespace vg::test
