// A generator and a critic with an optimizer each, and a gradient penalty, which is the gradient of a gradient: WGAN-GP
// (Gulrajani et al. 2017) on small volumes.
#include <cmath>
#include <cstdio>
#include <voxgrad/voxgrad.hpp>

// Real volumes: a bright slab with noise.
vg::Tensor real_volumes(const vg::random::Key& key, std::int64_t count) {
  vg::Tensor x = vg::random::normal(key, {count, 8, 8, 8, 1}, 0, 0.1);
  for (std::int64_t i = 0; i < x.numel(); ++i)
    if (i / 64 % 8 >= 4) x.data<float>()[i] += 0.5f;
  return x;
}

// The distance of the norm of the critic's gradient from 1, at points between real and generated volumes.
struct Penalty {
  vg::Variable value;
  double mean_norm;
};
Penalty penalty(vg::Module& critic, const vg::Tensor& real, const vg::Tensor& fake, const vg::random::Key& key) {
  const vg::Variable part = vg::random::uniform(key, {real.dim(0), 1, 1, 1, 1});
  const vg::Variable between((part * real + (1.0 - part) * fake).value(), true);
  const vg::Variable slope = vg::gradients(vg::sum(critic(between)), {between}, {.create_graph = true})[0];
  const vg::Variable norm = vg::sqrt(vg::sum(vg::square(slope), {1, 2, 3, 4}) + 1e-12);
  return {vg::mean(vg::square(norm - 1.0)), vg::mean(norm).item()};
}

int main() {
  vg::random::seed(5);
  vg::Sequential generator(
      vg::Conv3d({.in_size = {4, 4, 4, 2}, .out_channels = 8, .kernel_size = 3, .b_init = vg::init::ZeroInit()}),
      vg::LeakyReLU(0.2), vg::Upsample(2),
      vg::Conv3d({.out_channels = 1, .kernel_size = 3, .b_init = vg::init::ZeroInit()}));
  vg::Sequential critic(
      vg::Conv3d(
          {.in_size = {8, 8, 8, 1}, .out_channels = 8, .kernel_size = 3, .stride = 2, .b_init = vg::init::ZeroInit()}),
      vg::LeakyReLU(0.2), vg::Flatten(), vg::Linear(1));
  vg::Adam of_generator(generator.parameters(), {.lr = 5e-3, .betas = {0.5, 0.999}}),
      of_critic(critic.parameters(), {.lr = 5e-3, .betas = {0.5, 0.999}});
  generator.train();
  critic.train();

  double norm = 0, level = 0;
  for (std::uint64_t step = 0; step <= 240; ++step) {
    const auto keys = vg::random::split(vg::random::key_of(step), 3);
    const vg::Tensor real = real_volumes(keys[0], 8), noise = vg::random::normal(keys[1], {8, 4, 4, 4, 2});

    const vg::Tensor fake = generator(noise).detach().value();
    const Penalty p = penalty(critic, real, fake, keys[2]);
    (vg::mean(critic(fake)) - vg::mean(critic(real)) + 10.0 * p.value).backward();
    of_critic.step();
    of_critic.zero_grad();
    norm = p.mean_norm;

    if (step % 3 != 0) continue;
    const vg::Variable made = generator(noise);
    (-vg::mean(critic(made))).backward();
    of_generator.step();
    of_generator.zero_grad();
    of_critic.zero_grad();  // the generator's loss also made gradients of the critic
    level = vg::mean(made).item();
    if (step % 30 == 0)
      std::printf("step %d: norm of the gradient %.3f, mean of the volumes %.3f\n", int(step), norm, level);
  }
  return std::abs(norm - 1) < 0.3 && std::abs(level - 0.25) < 0.1 ? 0 : 1;  // the real mean is 0.25
}
