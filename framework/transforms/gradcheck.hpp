// Checks derivatives against central differences, for authors of ops and layers.
//
//   auto f = [](const std::vector<vg::Variable>& in) { return my_layer(in[0], in[1]); };
//   auto report = vg::gradcheck(f, {x, weight});      // f64 tensors
//   if (!report) std::cerr << report.message();
//
// f may compute gradients itself (a gradient penalty, the loss of a differential equation). It must then use
// create_graph, so that the result depends on the inputs through them. f must depend only on its inputs (no random
// draws, no running statistics) and be differentiable at the checked values. Near a kink, such as relu's at 0,
// differences are meaningless; the caller must choose data away from it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg {

struct GradcheckOptions {
  double eps = 1e-6;   ///< step of the differences, times max(1, |x|)
  double rtol = 1e-6;  ///< a derivative passes if |analytic - numeric| <= atol + rtol * max(|analytic|, |numeric|)
  double atol = 1e-7;
  std::int64_t max_elements = 0;  ///< per input, spread evenly over it; 0 means all
};

/// The result of a check, with the element whose error is largest in units of its tolerance.
struct GradcheckReport {
  bool ok = true;
  std::int64_t checked = 0;  ///< number of derivatives compared
  int input = -1;    ///< its input; in a second-order check the number after the last input is the output's cotangent
  std::string name;  ///< in a check of a module: "x", "the output's cotangent", or the parameter's path and leaf
  std::vector<std::int64_t> index;
  double analytic = 0, numeric = 0, error = 0;  ///< error = |analytic - numeric|

  explicit operator bool() const { return ok; }
  std::string message() const;
};

using GradcheckFunction = std::function<Variable(const std::vector<Variable>&)>;

/// Compares the gradient of <f(inputs), u>, where u are fixed pseudo-random numbers, with central differences for every
/// f64 input. i32 inputs are passed on unchecked. Throws TypeError for an f32 input or output (differences need f64),
/// ValueError when there is nothing to check or an option is out of range.
GradcheckReport gradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});
/// The same for the gradient itself as a function of the inputs and of the output's cotangent. This checks second
/// derivatives.
GradcheckReport gradgradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options = {});

/// The same for a function of leaves that it does not get as arguments, such as a module's parameters: f computes its
/// output from their present values. Every leaf must require a gradient. Values are changed during the check and then
/// restored.
GradcheckReport gradcheck_leaves(const std::function<Variable()>& f, const std::vector<Variable>& leaves,
                                 const GradcheckOptions& options = {});
GradcheckReport gradgradcheck_leaves(const std::function<Variable()>& f, const std::vector<Variable>& leaves,
                                     const GradcheckOptions& options = {});

/// The same for a module, with respect to its input (if that is f64) and every parameter. Call module.to(f64) first.
GradcheckReport gradcheck(Module& module, const Tensor& x, const GradcheckOptions& options = {});
GradcheckReport gradgradcheck(Module& module, const Tensor& x, const GradcheckOptions& options = {});

}  // namespace vg
