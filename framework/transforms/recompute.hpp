// Saves memory at the cost of time: a block stores no values for the reverse pass and computes them again there.
//
//   const vg::Variable y = vg::recompute(encoder, x);                        // a module
//   const vg::Variable z = vg::recompute(f, x, net.states());                // a function that reads these states
//
// A step then holds the block's input and output, and its inner values only during the block's own reverse pass.
#pragma once

#include <functional>

#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// block(x). Its values, gradients of any order and later states are, bit for bit, those of block(x). The second run
/// uses the batch statistics, random states, default generator and AutocastGuard setting of the first run, and leaves
/// the present ones unchanged. The block must outlive the graph. backward() throws ValueError when a parameter was
/// changed since.
Variable recompute(Module& block, const Variable& x);
/// f(x), where f must depend only on x and `states`.
Variable recompute(std::function<Variable(const Variable&)> f, const Variable& x, const States& states = {});

}  // namespace vg
