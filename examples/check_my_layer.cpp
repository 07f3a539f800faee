// Checks the gradients of a layer of your own by central differences in f64: with respect to its input and its
// parameters, first and second order.
#include <cstdio>
#include <voxgrad/voxgrad.hpp>

// y = x * sigmoid(beta * x), with one trained beta per channel.
class Swish : public vg::Module {
 public:
  explicit Swish(std::int64_t channels) { beta.add("beta", vg::Tensor::full({channels}, 1.5)); }
  vg::Variable update(vg::Variable x) override { return x * vg::sigmoid(beta["beta"] * x); }
  void visit(vg::Visitor& v) override { v("beta", beta); }
  std::string kind() const override { return "Swish"; }

 private:
  vg::ParamState beta;
};

int main() {
  Swish swish(4);
  swish.to(vg::f64);
  const vg::Tensor x = vg::random::normal(vg::random::key_of(0), {2, 3, 3, 3, 4}, 0, 1, vg::f64);
  const vg::GradcheckReport first = vg::gradcheck(swish, x), second = vg::gradgradcheck(swish, x);
  std::printf("first order:  %s\nsecond order: %s\n", first.message().c_str(), second.message().c_str());
  return first.ok && second.ok ? 0 : 1;
}
