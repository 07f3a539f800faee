// The table that drives the gradient checks, with one row per op. To add rows for another family of ops, write a new
// file in tests/support/op_cases/ that ends with
//   const bool added = vg::test::add_op_cases(my_cases);
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg::test {

struct OpCase {
  std::string op;    ///< the name of the function, as in its header
  std::string note;  ///< the special property of this row
  std::function<Variable(const std::vector<Variable>&)> f;
  std::vector<Shape> shapes;  ///< shapes of the f64 inputs
  double low = -2, high = 2;  ///< range of the data
  bool second_order = true;
};

/// Distinct numbers, evenly spaced over [low, high] and shuffled. No two inputs are equal, and none is 0 if the range
/// is symmetric about 0, so the inputs are away from ties of maxima and from kinks.
std::vector<Tensor> case_inputs(const OpCase& c);

bool add_op_cases(const std::vector<OpCase>& cases);
const std::vector<OpCase>& all_op_cases();

}  // namespace vg::test
