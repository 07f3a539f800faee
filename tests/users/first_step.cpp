// A user's project: it finds the installed package, trains one step and checks that the loss fell.
#include <cstdio>
#include <voxgrad/voxgrad.hpp>

int main() {
  vg::random::seed(0);
  vg::Sequential model(vg::Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}), vg::ReLU(),
                       vg::Flatten(), vg::Linear({.out_features = 2}));
  vg::SGD optimizer(model.parameters(), {.lr = 0.01});
  const vg::Tensor x = vg::random::normal(vg::random::key_of(1), {4, 8, 8, 8, 1}),
                   labels = vg::Tensor::of<std::int32_t>({4}, {0, 1, 0, 1});
  double first = 0, last = 0;
  for (int step = 0; step < 5; ++step) {
    vg::Variable loss = vg::cross_entropy(model(x), labels);
    last = loss.item();
    if (step == 0) first = last;
    loss.backward();
    optimizer.step();
    model.zero_grad();
  }
  std::printf("loss %.4f -> %.4f\n", first, last);
  return last < first ? 0 : 1;
}
