// A user's own op and layer: the program checks their gradients, trains the layer within a Sequential, saves it, and
// loads it from the file.
#include <cstdio>
#include <voxgrad/voxgrad.hpp>

// x * sigmoid(x * beta), with explicit derivatives. beta (C,) belongs to the last axis of x.
vg::Variable swish(const vg::Variable& x, const vg::Variable& beta) {
  if (beta.rank() != 1 || beta.dim(0) != x.dim(-1))
    throw vg::ValueError("[swish] beta: got " + beta.shape().str() + "; must be (C,), of x's last axis, " +
                         x.shape().str());
  const auto value = [](const vg::Variable& x, const vg::Variable& beta) { return x * vg::sigmoid(x * beta); };
  vg::Tensor y;
  {
    const vg::NoGradGuard value_only;
    y = value(x, beta).value();
  }
  return vg::record(
      "swish", y, {x, beta},
      [x, beta](const vg::VjpContext& p) {
        const vg::Variable s = vg::sigmoid(x * beta), slope = x * s * (1.0 - s) * p.grad;
        return vg::Grads{p.grad * s + slope * beta, vg::sum(vg::reshape(slope * x, {-1, beta.dim(0)}), {0})};
      },
      vg::SaveOutput::no);
}

struct SwishOptions {
  vg::Size in_size{};  ///< (..., C)
  double initial = 1;  ///< the initial value of every beta
  void fields(vg::Fields& f) {
    f("in_size", in_size);
    f("initial", initial, vg::finite);
  }
};

class Swish : public vg::LayerWith<SwishOptions> {
 public:
  explicit Swish(SwishOptions options = {}) : LayerWith(std::move(options)) { start(); }
  vg::ParamState beta;

  vg::Variable update(vg::Variable x) override {
    require_trailing(x);
    return swish(x, beta["value"]);
  }
  void visit(vg::Visitor& v) override { v("beta", beta); }
  void build(const vg::Size& in_size) override {
    if (built()) return require_same(in_size);
    beta.add("value", vg::Tensor::full({in_size.back()}, options_.initial));
    set_sizes(in_size, in_size);
  }
  std::string kind() const override { return "Swish"; }
};

int main() {
  Swish layer({.in_size = {3}});
  layer.to(vg::f64);
  const vg::Tensor x = vg::random::normal(vg::random::key_of(0), {2, 2, 2, 2, 3}, 0, 1, vg::f64);
  const vg::GradcheckReport first = vg::gradcheck(layer, x), second = vg::gradgradcheck(layer, x);
  std::printf("%s\n%s\n", first.message().c_str(), second.message().c_str());
  if (!first || !second) return 1;

  vg::random::seed(3);
  vg::Sequential model(vg::Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}), Swish(),
                       vg::GlobalAvgPool3d(), vg::Linear(2));
  vg::Adam optimizer(model.parameters(), {.lr = 1e-2});
  const vg::Tensor volumes = vg::random::normal(vg::random::key_of(1), {4, 8, 8, 8, 1}),
                   labels = vg::Tensor::of<std::int32_t>({4}, {0, 1, 0, 1});
  model.train();
  double before = 0, after = 0;
  for (int step = 0; step < 20; ++step) {
    const vg::Variable loss = vg::cross_entropy(model(volumes), labels);
    (step == 0 ? before : after) = loss.item();
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
  }
  std::printf("loss %.3f -> %.3f, beta[0] %.4f\n", before, after,
              model.get<Swish>(1).beta["value"].value().value_at(0));

  vg::register_module<Swish>("Swish");
  vg::save(model, "swish.json");
  const std::unique_ptr<vg::Module> back = vg::load_model("swish.json");
  model.eval();
  const bool same = (*back)(volumes).value().values() == model(volumes).value().values();
  return after < before && model.get<Swish>(1).beta["value"].value().value_at(0) != 1 && same ? 0 : 1;
}
