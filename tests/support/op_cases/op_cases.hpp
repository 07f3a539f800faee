// One row an op: the table that drives the gradient checks. To add rows for another family of ops, write a file of your
// own in tests/support/ that ends in
//   const bool added = vg::test::add_op_cases(my_cases);
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg::test {

struct OpCase {
  std::string op;    ///< the name of the function, as in its header
  std::string note;  ///< what is particular about this row
  std::function<Variable(const std::vector<Variable>&)> f;
  std::vector<Shape> shapes;  ///< of the f64 inputs
  double low = -2, high = 2;  ///< range of the data
  bool second_order = true;
};

/// Distinct numbers, evenly spaced over [low, high] and shuffled: no two inputs are equal, and none is 0 for a range
/// round 0, so that maxima and kinks stay away.
std::vector<Tensor> case_inputs(const OpCase& c);

bool add_op_cases(const std::vector<OpCase>& cases);
const std::vector<OpCase>& all_op_cases();

}  // namespace vg::test
