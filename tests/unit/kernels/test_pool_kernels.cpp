// Compares max pooling, with every kernel set, with the definition: channels in whole vectors, half vectors and single
// ones; windows that tile the volume, overlap, leave voxels out and reach into the padding; ties and NaN.
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include <voxgrad/voxgrad.hpp>

namespace {

using namespace vg;

struct Pooled {
  std::vector<double> y, dx;
};

Pooled naive(const Tensor& x, const Tensor& dy, const Shape& out, const Pool3dArgs& a) {
  const Shape& s = x.shape();
  const std::int64_t c = s[4];
  Pooled want{{}, std::vector<double>(static_cast<std::size_t>(x.numel()))};
  for (std::int64_t o = 0; o < out.numel(); ++o) {
    const std::int64_t channel = o % c, od = o / c % out[3], ow = o / c / out[3] % out[2],
                       oh = o / c / out[3] / out[2] % out[1], b = o / c / out[3] / out[2] / out[1];
    const std::array<std::int64_t, 3> at{oh, ow, od};
    std::int64_t best = -1;
    for (std::int64_t k = 0; k < a.kernel_size[0] * a.kernel_size[1] * a.kernel_size[2]; ++k) {
      const std::array<std::int64_t, 3> tap{k / a.kernel_size[2] / a.kernel_size[1],
                                            k / a.kernel_size[2] % a.kernel_size[1], k % a.kernel_size[2]};
      std::int64_t voxel = b;
      bool inside = true;
      for (std::size_t i = 0; i < 3; ++i) {
        const std::int64_t p = at[i] * a.stride[i] - a.padding[i].first + tap[i];
        inside = inside && p >= 0 && p < s[i + 1];
        voxel = voxel * s[i + 1] + p;
      }
      if (!inside) continue;
      const std::int64_t e = voxel * c + channel;
      if (best < 0 || x.value_at(e) > x.value_at(best) || std::isnan(x.value_at(e))) best = e;
    }
    want.y.push_back(x.value_at(best));
    want.dx[static_cast<std::size_t>(best)] += dy.value_at(o);
  }
  return want;
}

bool same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double p, double q) { return p == q || (std::isnan(p) && std::isnan(q)); });
}

}  // namespace

TEST_CASE("max_pool3d: every kernel set gives the first maximum of each window", "[pool][kernels]") {
  const std::array<Pool3dArgs, 4> windows{Pool3dArgs{}, Pool3dArgs{{3, 2, 3}, {2, 1, 2}, {{{1, 1}, {0, 1}, {1, 1}}}},
                                          Pool3dArgs{{1, 2, 2}, {2, 3, 2}, {}}, Pool3dArgs{{2, 3, 1}, {2, 3, 1}, {}}};
  for (const std::int64_t channels : {1, 3, 4, 8, 12, 16, 27, 40})
    for (const DType dtype : {f32, f64}) {
      Tensor x = random::normal({1, 2}, {2, 4, 6, 6, channels}, 0, 1, dtype);
      dispatch_float("test", dtype, [&](auto zero) {
        using T = decltype(zero);
        for (std::int64_t i = 0; i < x.numel(); ++i) x.data<T>()[i] = std::floor(2 * x.data<T>()[i]);  // ties
        x.data<T>()[x.numel() / 3] = std::numeric_limits<T>::quiet_NaN();
      });
      for (const Pool3dArgs& args : windows)
        for (const std::string& set : available_kernel_sets()) {
          const KernelSetGuard scope(set);
          INFO(set << " " << name_of(dtype) << ", " << channels << " channels, kernel " << args.kernel_size[0]
                   << args.kernel_size[1] << args.kernel_size[2]);
          const Variable in(x, true);
          const Variable y = max_pool3d(in, args);
          const Tensor dy = random::normal({3, 4}, y.shape().vec(), 0, 1, dtype);
          y.backward(Variable(dy));
          const Pooled want = naive(x, dy, y.shape(), args);
          CHECK(same(y.value().values(), want.y));
          const std::vector<double> got = in.grad().value().values();
          REQUIRE(got.size() == want.dx.size());
          double worst = 0;
          for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(got[i] - want.dx[i]));
          CHECK(worst <= 1e-6);       // gradients of shared voxels are summed in another order
          const NoGradGuard no_grad;  // does not store the positions of maxima
          CHECK(same(max_pool3d(Variable(x), args).value().values(), want.y));
        }
    }
}
