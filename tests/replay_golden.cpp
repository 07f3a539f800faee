// replay_golden DIR runs every *.json of a folder (in the format of tests/golden/conv, see make_golden.py) through the
// layers, with every kernel set that this CPU has, in f64 and f32. It prints the failed cases with their largest error
// and then "N passed, M failed". It exits with 1 if a case failed, a file could not be read, or there was no file.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "support/conv_config.hpp"
#include "support/golden.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

namespace {

using nlohmann::json;
using vg::Tensor;

// Named tensors: the results of a pass, or the expected results from the file.
using Results = std::vector<std::pair<std::string, Tensor>>;

struct Inputs {
  Tensor x, weight, bias, mask, grad_output;
};

Inputs inputs_of(const json& c, vg::DType dtype) {
  return {vg::test::golden::tensor(c.at("x"), dtype), vg::test::golden::tensor(c.at("weight"), dtype),
          vg::test::golden::optional_tensor(c, "bias", dtype), vg::test::golden::optional_tensor(c, "w_mask", dtype),
          vg::test::golden::tensor(c.at("grad_output"), dtype)};
}

Results wanted_of(const json& c) {
  Results wanted;
  for (const char* name : {"output", "grad_x", "grad_weight", "grad_bias"})
    if (Tensor t = vg::test::golden::optional_tensor(c, name, vg::f64); t.defined()) wanted.emplace_back(name, std::move(t));
  return wanted;
}

template <class Layer, class Options>
std::unique_ptr<vg::ConvLayer3d> with_arrays(Options options, const Inputs& in) {
  options.w_init = in.weight;
  if (in.bias.defined()) options.b_init = in.bias;
  if (in.mask.defined()) options.w_mask = in.mask;
  return std::make_unique<Layer>(std::move(options));
}

std::unique_ptr<vg::ConvLayer3d> layer_of(const json& c, const Inputs& in) {
  const auto layer = c.at("layer").get<std::string>();
  if (layer == "Conv3d") return with_arrays<vg::Conv3d>(vg::test::golden::conv3d_options(c.at("config")), in);
  if (layer == "ConvTranspose3d")
    return with_arrays<vg::ConvTranspose3d>(vg::test::golden::conv_transpose3d_options(c.at("config")), in);
  throw vg::IoError("layer: got \"" + layer + "\"; must be Conv3d or ConvTranspose3d");
}

Results run(const json& c, const Inputs& in) {
  const auto layer = layer_of(c, in);
  if (layer->out_size() != c.at("out_size").get<vg::Size>())
    throw vg::ValueError("out_size: got " + vg::size_text(layer->out_size()) + "; must be " +
                         vg::size_text(c.at("out_size").get<vg::Size>()));
  const vg::Variable x(in.x, true);
  const vg::Variable y = (*layer)(x);
  y.backward(in.grad_output);
  Results got{
      {"output", y.value()}, {"grad_x", x.grad().value()}, {"grad_weight", layer->weight["weight"].grad().value()}};
  if (in.bias.defined()) got.emplace_back("grad_bias", layer->weight["bias"].grad().value());
  return got;
}

Tensor magnitudes(const Tensor& t) {
  if (!t.defined()) return t;
  Tensor out = t.clone();
  std::for_each_n(out.data<double>(), out.numel(), [](double& v) { v = std::abs(v); });
  return out;
}

// The same passes over absolute values, which give sums of magnitudes. Errors are compared with them, because rounding
// errors grow with them.
Results scales_of(const json& c) {
  const vg::KernelSetGuard portable("portable");
  const Inputs in = inputs_of(c, vg::f64);
  return run(c, {magnitudes(in.x), magnitudes(in.weight), magnitudes(in.bias), magnitudes(in.mask),
                 magnitudes(in.grad_output)});
}

// The largest error of one pass as text, "" if all results are right.
std::string compare(const Results& got, const Results& wanted, const Results& scales, bool exact, double allowed) {
  if (got.size() != wanted.size()) return fmt::format("{} results, the file has {}", got.size(), wanted.size());
  double worst = allowed;
  std::string failure;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto& [name, tensor] = got[i];
    if (tensor.shape() != wanted[i].second.shape())
      return fmt::format("{} has shape {}, must be {}", name, tensor.shape().str(), wanted[i].second.shape().str());
    const double error = vg::test::golden::error(tensor, wanted[i].second, scales[i].second);
    if (exact && error > 0)
      return fmt::format("{} is not exact: worst error {:.2e} of the sum of magnitudes", name, error);
    if (error <= worst) continue;
    worst = error;
    failure = fmt::format("{}: worst error {:.2e} of the sum of magnitudes; allowed {:.0e}", name, error, allowed);
  }
  return failure;
}

std::vector<std::string> failures_of(const std::filesystem::path& file) {
  std::vector<std::string> failures;
  try {
    const json c = vg::test::golden::read(file);
    const Results wanted = wanted_of(c), scales = scales_of(c);
    for (const std::string& set : vg::available_kernel_sets())
      for (vg::DType dtype : {vg::f64, vg::f32}) {
        const vg::KernelSetGuard forced(set);
        const bool exact = c.at("exact_in_float32").get<bool>();
        const std::string failure =
            compare(run(c, inputs_of(c, dtype)), wanted, scales, exact, dtype == vg::f64 ? 1e-11 : 1e-5);
        if (!failure.empty()) failures.push_back(fmt::format("{} {}: {}", set, name_of(dtype), failure));
      }
  } catch (const std::exception& e) {
    failures.emplace_back(e.what());
  }
  return failures;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: replay_golden DIR\n", stderr);
    return 2;
  }
  int passed = 0, failed = 0;
  try {
    for (const auto& file : vg::test::golden::files_in(argv[1])) {
      const auto failures = failures_of(file);
      for (const std::string& failure : failures) fmt::print("FAILED {}: {}\n", file.stem().string(), failure);
      ++(failures.empty() ? passed : failed);
    }
  } catch (const std::exception& e) {
    fmt::print("FAILED {}\n", e.what());
    ++failed;
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
