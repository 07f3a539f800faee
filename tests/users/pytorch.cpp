// To and from PyTorch: pytorch FOLDER loads the state dict that torch saved there, reproduces torch's outputs, and
// writes a file that torch loads with strict=True. tests/golden/make_golden_state_dict.py has the net in PyTorch.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <voxgrad/voxgrad.hpp>

vg::Sequential make_net() {
  const vg::Initializer bias = vg::init::ZeroInit();
  return vg::Sequential(
      vg::Conv3d(
          {.in_size = {6, 5, 4, 2}, .out_channels = 4, .kernel_size = {3, 2, 1}, .padding = {1, 0, 0}, .b_init = bias}),
      vg::BatchNorm3d({.momentum = 0.9}), vg::PReLU({.per_channel = true}),
      vg::Conv3d({.out_channels = 8, .kernel_size = 3, .stride = 2, .padding = 2, .rhs_dilation = 2, .groups = 2}),
      vg::GroupNorm({.num_groups = 2, .epsilon = 1e-5}),
      vg::Branches({}, vg::Conv3d({.out_channels = 8, .kernel_size = {1, 1, 3}, .padding = {0, 0, 1}, .b_init = bias}),
                   vg::Identity()),
      vg::ConvTranspose3d(
          {.out_channels = 6, .kernel_size = 2, .stride = 2, .padding = "VALID", .groups = 2, .b_init = bias}),
      vg::ConvTranspose3d({.out_channels = 4, .kernel_size = {2, 3, 1}, .stride = {2, 1, 1}, .padding = "VALID"}),
      vg::InstanceNorm3d({.affine = true}), vg::MaxPool3d(2),
      vg::WeightNormConv3d({.out_channels = 3, .kernel_size = 1, .b_init = bias}),
      vg::Sequential(vg::ReLU(), vg::Flatten()), vg::PReLU({.per_channel = true}), vg::Linear(7),
      vg::LayerNorm({.epsilon = 1e-5}), vg::PReLU(), vg::Linear({.out_features = 3, .b_init = std::nullopt}));
}

double largest_difference(const vg::Tensor& a, const vg::Tensor& b) {
  const std::vector<double> x = a.values(), y = b.values();
  double most = x.size() == y.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  const vg::NamedTensors torch_file = vg::read_safetensors(folder + "/net.safetensors").tensors;
  vg::Sequential net = make_net();
  vg::load_state_dict(net, torch_file, vg::torch_layout);

  // A volume is (B, C, H, W, D) in torch and (B, H, W, D, C) in voxgrad.
  std::map<std::string, vg::Tensor> values;
  for (const auto& [name, tensor] : vg::read_safetensors(folder + "/values.safetensors").tensors) values[name] = tensor;
  const vg::NoGradGuard no_graph;
  const vg::Tensor x = vg::transpose(vg::Variable(values["x"].to(vg::f32)), {0, 2, 3, 4, 1}).value();
  const double difference = largest_difference(net(x).value().to(vg::f64), values["eval"]);
  std::printf("largest difference from PyTorch's output: %.1e\n", difference);

  vg::write_safetensors("net.safetensors", vg::state_dict(net, vg::torch_layout));
  std::map<std::string, vg::Tensor> written;
  for (const auto& [name, tensor] : vg::read_safetensors("net.safetensors").tensors) written[name] = tensor;
  bool same = written.size() == torch_file.size();
  for (const auto& [name, tensor] : torch_file)
    same = same && written[name].shape() == tensor.shape() &&
           std::memcmp(written[name].raw(), tensor.raw(), static_cast<std::size_t>(tensor.bytes())) == 0;
  std::printf("written again: %s\n", same ? "the same tensors" : "other tensors");
  return same && difference < 1e-5 ? 0 : 1;
}
