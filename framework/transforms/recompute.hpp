// Memory for time: a block that keeps none of its values for the reverse pass, and computes them again there.
//
//   const vg::Variable y = vg::recompute(encoder, x);                        // a module
//   const vg::Variable z = vg::recompute(f, x, net.states());                // a function that reads these states
//
// A step then holds the block's input and output, and for the time of the block's own reverse pass what is inside.
#pragma once

#include <functional>

#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// block(x). Values, gradients of any order and states afterwards are, bit for bit, those of block(x): its second run
/// sees the batch statistics' and random states' values, the default generator and the AutocastGuard that the first one saw,
/// and leaves them as they are. The block must outlive the graph. backward() throws ValueError when a parameter was
/// changed since.
Variable recompute(Module& block, const Variable& x);
/// f(x), which must be a function of x and `states` alone.
Variable recompute(std::function<Variable(const Variable&)> f, const Variable& x, const States& states = {});

}  // namespace vg
