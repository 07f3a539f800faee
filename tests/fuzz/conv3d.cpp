// Runs Conv3d's constructor, forward and gradients on random arguments. The results must be those of the naive loop, or
// there must be a clear exception; arguments that the definition allows must not be refused.
#include <algorithm>
#include <new>

#include "fuzz/conv3d_arguments.hpp"
#include "fuzz/fuzz.hpp"
#include "support/kernels/conv3d_cases.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace {

using fuzz::Conv3dProblem;

constexpr double most_work = 2e4;

/// The index of element i of a tensor of this shape in the order of the naive loop, which is channels-last.
std::size_t index(const vg::Shape& s, bool channel_first, std::int64_t i) {
  if (!channel_first) return static_cast<std::size_t>(i);
  const std::int64_t channels = s[1], space = s[2] * s[3] * s[4];
  const std::int64_t n = i / (channels * space), c = i / space % channels;
  return static_cast<std::size_t>((n * space + i % space) * channels + c);
}

void compare(const char* what, const Conv3dProblem& p, const vg::Tensor& got, const vg::Shape& shape,
             bool channel_first, const std::vector<double>& wanted, double add = 0) {
  if (got.shape() != shape) fuzz::finding(what, ": a wrong shape: " + vg::test::to_line(p));
  const float* values = got.data<float>();
  for (std::int64_t i = 0; i < got.numel(); ++i) {
    const double value = static_cast<double>(values[i]), reference = wanted[index(shape, channel_first, i)] + add;
    // Winograd's transforms round; everything else is exact in f32.
    if (!(std::abs(value - reference) <= 1e-4 * (1 + std::abs(reference))))
      fuzz::finding(what, ": a wrong value: " + vg::test::to_line(p));
  }
}

vg::Tensor values(const vg::Shape& shape, std::vector<double>& plain, bool channel_first, int salt) {
  vg::Tensor t(shape);
  plain.resize(static_cast<std::size_t>(t.numel()));
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    t.data<float>()[i] = fuzz::eighth(i * 3 + salt);
    plain[index(shape, channel_first, i)] = static_cast<double>(t.data<float>()[i]);
  }
  return t;
}

/// The gradient of a bias: the sum per channel.
std::vector<double> channel_sums(const std::vector<double>& g, std::int64_t channels) {
  std::vector<double> sums(static_cast<std::size_t>(channels));
  for (std::size_t i = 0; i < g.size(); ++i) sums[i % sums.size()] += g[i];
  return sums;
}

void check(vg::Conv3d& conv, const vg::Conv3dOptions& o, const Conv3dProblem& p) {
  const auto shape = [&](const std::int64_t* space, std::int64_t channels) {
    return o.channel_first ? vg::Shape{p.batch, channels, space[0], space[1], space[2]}
                           : vg::Shape{p.batch, space[0], space[1], space[2], channels};
  };
  std::vector<double> xs, gs, ws;
  const vg::Tensor x = values(shape(p.in_size, p.in_channels), xs, o.channel_first, 1);
  const vg::Tensor g = values(shape(p.out_size, p.out_channels), gs, o.channel_first, 2);
  for (std::int64_t i = 0; i < vg::test::w_size(p); ++i) ws.push_back(static_cast<double>(fuzz::eighth(i)));
  const vg::test::NaiveConv3d reference = vg::test::naive_conv3d(p, xs, ws, gs);
  const vg::Variable input(x, true);
  const vg::Variable y = conv(input);
  compare("forward", p, y.value(), g.shape(), o.channel_first, reference.y, o.b_init ? 0.5 : 0);
  vg::sum(y * vg::Variable(g)).backward();
  compare("grad_input", p, input.grad().value(), x.shape(), o.channel_first, reference.dx);
  const std::int64_t* k = p.kernel_size;
  compare("grad_weight", p, conv.weight["weight"].grad().value(),
          {k[0], k[1], k[2], p.in_channels / p.groups, p.out_channels}, false, reference.dw);
  if (o.b_init)
    compare("grad_bias", p, conv.weight["bias"].grad().value(), conv.weight["bias"].shape(), false,
            channel_sums(gs, p.out_channels));
}

/// Calls the layer with an input of any shape.
void call(vg::Conv3d& conv, FuzzedDataProvider& in) {
  std::vector<std::int64_t> extents = fuzz::numbers(in, {4, 5}, 0, 6);
  double elements = 1;
  for (std::int64_t& e : extents) elements *= static_cast<double>(e = std::clamp<std::int64_t>(e, 0, 64));
  if (elements > 4096) return;
  conv(vg::Variable(vg::Tensor::zeros(extents, in.ConsumeBool() ? vg::f32 : vg::i32))).value();
}

void choose(FuzzedDataProvider& in) {
  static const std::vector<std::string> sets = vg::available_kernel_sets(), algorithms = vg::conv3d_algorithms();
  vg::use_kernel_set(sets[in.ConsumeIntegral<std::uint8_t>() % sets.size()]);
  vg::use_conv3d_algorithm(algorithms[in.ConsumeIntegral<std::uint8_t>() % algorithms.size()]);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider in(data, size);
  choose(in);
  const std::int64_t batch = in.ConsumeIntegralInRange<std::int64_t>(1, 2);
  std::string said;
  bool allowed = false;  // an exception would be wrong
  try {
    const auto [o, padding_allowed] = fuzz::arguments(in);
    if (!padding_allowed) {
      const vg::Conv3d refused(o);
      fuzz::finding("accepted a padding that is not allowed");
    }
    const bool open = fuzz::no_statement(o);
    const auto problem = open ? std::nullopt : fuzz::problem_of(o, batch);
    if ((problem && fuzz::work(*problem) > most_work) || fuzz::too_much_memory(o)) return -1;
    allowed = problem.has_value();
    vg::Conv3d conv(o);
    fuzz::require(open || allowed, "accepted arguments that are not allowed");
    if (problem) check(conv, o, *problem);
    allowed = false;
    call(conv, in);
    return 0;
  } catch (const vg::ValueError& e) {
    said = e.what();
  } catch (const vg::TypeError& e) {
    said = e.what();
  } catch (const std::bad_alloc&) {
    said = "[memory] there is not enough";
  }
  fuzz::require(!allowed, "refused arguments that are allowed: ", said);
  constexpr std::string_view in_layer = "in Conv3d: ";  // position in the net, which is the layer alone
  if (said.starts_with(in_layer)) said.erase(0, in_layer.size());
  const std::size_t place = said.find(']');
  fuzz::require(said.starts_with('[') && place != said.npos && place + 3 < said.size(),
                "a message without place or reason: ", said);
  return 0;
}
