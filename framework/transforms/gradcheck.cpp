#include "voxgrad/framework/transforms/gradcheck.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

// Number i of a fixed pseudo-random sequence (splitmix64), in +-[0.5, 1), so that no small factor hides an error.
double fixed_number(std::uint64_t i) {
  std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  const double unit = 0.5 + static_cast<double>(z >> 12) * 0x1p-53;
  return (z & 1) != 0 ? unit : -unit;
}

Tensor fixed_tensor(const Shape& shape, std::uint64_t salt) {
  Tensor t(shape, f64);
  for (std::int64_t i = 0; i < t.numel(); ++i)
    t.data<double>()[i] = fixed_number((salt << 32) + static_cast<std::uint64_t>(i));
  return t;
}

std::vector<std::int64_t> unravel(std::int64_t at, const Shape& shape) {
  std::vector<std::int64_t> index(shape.size());
  for (std::size_t d = shape.size(); d-- > 0; at /= shape[d]) index[d] = at % shape[d];
  return index;
}

void check_options(const GradcheckOptions& o) {
  if (!(o.eps > 0) || !(o.rtol >= 0) || !(o.atol >= 0) || o.max_elements < 0)
    throw ValueError(
        fmt::format("[gradcheck] options: got eps {}, rtol {}, atol {}, max_elements {}; eps must be positive, the "
                    "others at least 0",
                    o.eps, o.rtol, o.atol, o.max_elements));
}

void check_leaves(const std::vector<Variable>& leaves) {
  if (leaves.empty()) throw ValueError("[gradcheck] inputs: got none to check; at least one must be f64");
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (leaves[i].dtype() != f64)
      throw TypeError(fmt::format(
          "[gradcheck] input {}: got {}; must be f64 (differences need f64 precision): convert with .to(vg::f64)", i,
          name_of(leaves[i].dtype())));
    if (!leaves[i].requires_grad() || !leaves[i].is_leaf())
      throw ValueError(fmt::format("[gradcheck] input {}: must be a leaf that requires a gradient", i));
  }
}

// f of the leaves' present values. `differentiated` is true if the gradient of the result will be computed, false if
// only its value is used. Recording is on in both cases, for an f that computes gradients itself.
using Function = std::function<Variable(bool differentiated)>;

// <f(), u>
class Objective {
 public:
  explicit Objective(const Function& f) : f_(f) {}

  std::vector<Variable> gradient(const std::vector<Variable>& leaves) {
    EnableGrad on;
    const Variable y = checked(f_(true));
    if (!y.requires_grad()) return std::vector<Variable>(leaves.size());
    return gradients(y, leaves, Variable(cotangent_), GradientsOptions{.allow_unused = true});
  }
  double value() {
    EnableGrad on;
    const Variable y = checked(f_(false));
    double total = 0;
    for (std::int64_t i = 0; i < y.numel(); ++i) total += y.value().data<double>()[i] * cotangent_.data<double>()[i];
    return total;
  }

 private:
  Variable checked(Variable y) {
    if (y.dtype() != f64) throw TypeError(fmt::format("[gradcheck] output: got {}; must be f64", name_of(y.dtype())));
    if (!cotangent_.defined()) cotangent_ = fixed_tensor(y.shape(), 0);
    if (y.shape() != cotangent_.shape())
      throw ValueError(fmt::format("[gradcheck] output: got shape {}, and {} before; f must not change",
                                   y.shape().str(), cotangent_.shape().str()));
    return y;
  }
  const Function& f_;
  Tensor cotangent_;
};

// Restores one element, also after an exception.
class Perturbed {
 public:
  explicit Perturbed(double& element) : element_(element), before_(element) {}
  ~Perturbed() { element_ = before_; }
  Perturbed(const Perturbed&) = delete;
  Perturbed& operator=(const Perturbed&) = delete;
  double before() const { return before_; }

 private:
  double& element_;
  double before_;
};

double difference(Objective& objective, double& element, double eps) {
  const Perturbed restore(element);
  const double h = eps * std::max(1.0, std::abs(restore.before()));
  const double above = restore.before() + h, below = restore.before() - h;
  element = above;
  const double f_above = objective.value();
  element = below;
  const double f_below = objective.value();
  return (f_above - f_below) / (above - below);
}

void compare(GradcheckReport& report, double& worst, int input, const Shape& shape, std::int64_t at, double analytic,
             double numeric, const GradcheckOptions& o) {
  const double error = std::abs(analytic - numeric);
  const double tolerance = o.atol + o.rtol * std::max(std::abs(analytic), std::abs(numeric));
  const bool ok = error <= tolerance;  // false for NaN
  const double severity = std::isnan(error) ? INFINITY : error / std::max(tolerance, 1e-300);
  ++report.checked;
  if (report.input >= 0 && severity <= worst) return;
  worst = severity;
  report.ok = report.ok && ok;
  report.input = input;
  report.index = unravel(at, shape);
  report.analytic = analytic;
  report.numeric = numeric;
  report.error = error;
}

}  // namespace

std::string GradcheckReport::message() const {
  if (checked == 0) return "no derivative was compared: all inputs are empty";
  return fmt::format(
      "{}: of {} derivatives compared, the worst is {} at ({}): analytic {:.10g}, numeric {:.10g}, error {:.3g}",
      ok ? "good" : "WRONG", checked, name.empty() ? fmt::format("input {}", input) : name, fmt::join(index, ", "),
      analytic, numeric, error);
}

namespace {

GradcheckReport check_gradient(const Function& f, const std::vector<Variable>& leaves,
                               const GradcheckOptions& options) {
  Objective objective(f);
  const std::vector<Variable> grads = objective.gradient(leaves);
  GradcheckReport report;
  double worst = 0;
  for (std::size_t l = 0; l < leaves.size(); ++l) {
    Variable leaf = leaves[l];
    Tensor& value = leaf.mutable_value();
    value.make_unique();  // other tensors may share the memory
    const std::int64_t n = value.numel(), count = options.max_elements == 0 ? n : std::min(n, options.max_elements);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = i * n / count;
      const double numeric = difference(objective, value.data<double>()[at], options.eps);
      const double analytic = grads[l].defined() ? grads[l].value().data<double>()[at] : 0.0;
      compare(report, worst, static_cast<int>(l), value.shape(), at, analytic, numeric, options);
    }
  }
  return report;
}

}  // namespace

GradcheckReport gradcheck_leaves(const std::function<Variable()>& f, const std::vector<Variable>& leaves,
                                 const GradcheckOptions& options) {
  check_options(options);
  check_leaves(leaves);
  return check_gradient([&f](bool) { return f(); }, leaves, options);
}

GradcheckReport gradgradcheck_leaves(const std::function<Variable()>& f, const std::vector<Variable>& leaves,
                                     const GradcheckOptions& options) {
  check_options(options);
  check_leaves(leaves);
  Variable cotangent;
  // <gradient of <f, cotangent>, u>. The differences use the ops' fast first derivatives, which are not recorded. The
  // analytic side uses recorded ones, so the check compares the two.
  const auto first = [&](bool create) -> Variable {
    const Variable y = f();
    if (!cotangent.defined()) cotangent = Variable(fixed_tensor(y.shape(), 1), true);
    Variable total = Variable(Tensor::zeros({}, f64));
    if (!y.requires_grad()) return total;
    const auto grads = gradients(y, leaves, cotangent, {.create_graph = create, .allow_unused = true});
    RecordingGuard as_before(create);
    for (std::size_t i = 0; i < grads.size(); ++i)
      if (grads[i].defined()) total = add(total, sum(mul(grads[i], Variable(fixed_tensor(grads[i].shape(), i + 2)))));
    return total;
  };
  {
    EnableGrad on;
    first(false);  // creates the cotangent, which has the output's shape
  }
  std::vector<Variable> all = leaves;
  all.push_back(cotangent);
  return check_gradient(first, all, options);
}

namespace {

// Creates leaves for the floating inputs.
template <class Check>
GradcheckReport on_copies(const GradcheckFunction& f, const std::vector<Tensor>& inputs, Check check) {
  std::vector<Variable> arguments, leaves;
  std::vector<int> number;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) throw ValueError(fmt::format("[gradcheck] input {}: the tensor is undefined", i));
    if (inputs[i].dtype() == f32)
      throw TypeError(fmt::format(
          "[gradcheck] input {}: got f32; must be f64 (differences need f64 precision): convert with .to(vg::f64)", i));
    arguments.emplace_back(inputs[i].clone(), inputs[i].dtype() == f64);
    if (inputs[i].dtype() != f64) continue;
    leaves.push_back(arguments.back());
    number.push_back(static_cast<int>(i));
  }
  number.push_back(static_cast<int>(inputs.size()));
  GradcheckReport report = check([&] { return f(arguments); }, leaves);
  if (report.input >= 0) report.input = number[static_cast<std::size_t>(report.input)];
  return report;
}

}  // namespace

GradcheckReport gradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  return on_copies(f, inputs, [&](const auto& g, const auto& leaves) { return gradcheck_leaves(g, leaves, options); });
}

GradcheckReport gradgradcheck(const GradcheckFunction& f, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options) {
  return on_copies(f, inputs,
                   [&](const auto& g, const auto& leaves) { return gradgradcheck_leaves(g, leaves, options); });
}

namespace {

template <class Check>
GradcheckReport on_module(Module& module, const Tensor& x, Check check) {
  std::vector<Variable> leaves;
  std::vector<std::string> names;
  const Variable input(x.dtype() == f64 ? x.clone() : x, x.dtype() == f64);
  if (x.dtype() == f64) {
    leaves.push_back(input);
    names.emplace_back("x");
  }
  for (const auto& [path, state] : module.parameters())
    for (const std::string& leaf : state.leaves()) {
      leaves.push_back(state[leaf]);
      names.push_back(path + "." + leaf);
    }
  names.emplace_back("the output's cotangent");
  GradcheckReport report = check([&] { return module(input); }, leaves);
  if (report.input >= 0) report.name = names[static_cast<std::size_t>(report.input)];
  return report;
}

}  // namespace

GradcheckReport gradcheck(Module& module, const Tensor& x, const GradcheckOptions& options) {
  return on_module(module, x, [&](const auto& f, const auto& leaves) { return gradcheck_leaves(f, leaves, options); });
}

GradcheckReport gradgradcheck(Module& module, const Tensor& x, const GradcheckOptions& options) {
  return on_module(module, x,
                   [&](const auto& f, const auto& leaves) { return gradgradcheck_leaves(f, leaves, options); });
}

}  // namespace vg
