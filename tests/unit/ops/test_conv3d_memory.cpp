// The memory that a convolution needs besides its operands, and the row chunks that keep copies small.
#include <catch2/catch.hpp>

#include "tests/support/kernels/conv3d_cases.hpp"
#include "tests/support/kernels/naive_conv3d.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/framework/kernels/bf16/row_chunks.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/dispatch/bf16_set.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace {

using namespace vg::test;
using std::int64_t;
using vg::kernels::RowChunk;

/// The passes in f32, one row chunk after the other; `slabs` becomes the number of chunks.
NaiveConv3d by_slabs(const Conv3dProblem& p, int64_t elements, const std::vector<double>& x,
                     const std::vector<double>& w, const std::vector<double>& dy, int& slabs) {
  const auto floats = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
  const std::vector<float> xf = floats(x), wf = floats(w), dyf = floats(dy);
  std::vector<float> y(dy.size(), 99), dw(w.size(), 0), of_slab(w.size());
  slabs = 0;
  vg::kernels::for_each_row_chunk(p, elements, [&](const RowChunk& s) {
    vg::kernels::conv3d_forward<float>(s.p, xf.data() + s.x, wf.data(), y.data() + s.y);
    vg::kernels::conv3d_grad_weight<float>(s.p, xf.data() + s.x, dyf.data() + s.y, of_slab.data());
    for (std::size_t i = 0; i < dw.size(); ++i) dw[i] += of_slab[i];
    ++slabs;
  });
  const auto doubles = [](const std::vector<float>& v) { return std::vector<double>(v.begin(), v.end()); };
  return {doubles(y), {}, doubles(dw)};
}

/// The peak memory of the three passes besides the operands, in bytes.
template <class Forward, class GradInput, class GradWeight>
int64_t most_memory(const Conv3dProblem& p, const Forward& forward, const GradInput& grad_input,
                    const GradWeight& grad_weight) {
  vg::memory::Scratch<float> x(x_size(p)), w(w_size(p)), y(y_size(p));
  std::fill_n(x.data(), x_size(p), 1.0F);
  std::fill_n(w.data(), w_size(p), 1.0F);
  std::fill_n(y.data(), y_size(p), 1.0F);
  const int64_t before = vg::memory::stats().in_use;
  vg::memory::reset_peak();
  forward(p, x.data(), w.data(), y.data());
  grad_input(p, y.data(), w.data(), x.data());
  grad_weight(p, x.data(), y.data(), w.data());
  return vg::memory::stats().peak - before;
}

}  // namespace

TEST_CASE("conv3d row chunks: chunk by chunk gives the whole", "[conv3d][kernels]") {
  const vg::Conv3dAlgorithmGuard direct("direct");
  int most = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const Conv3dProblem p = random_problem(seed);
    const auto x = small_integers(x_size(p), seed), w = small_integers(w_size(p), seed + 1),
               dy = small_integers(y_size(p), seed + 2);
    const NaiveConv3d want = naive_conv3d(p, x, w, dy);
    const int64_t all = x_size(p) + y_size(p);
    for (const int64_t elements : {int64_t{0}, all / 5, all / 2, all}) {
      int slabs = 0;
      const NaiveConv3d got = by_slabs(p, elements, x, w, dy, slabs);
      INFO("VOXGRAD_CONV3D_CASE=\"" << to_line(p) << "\" of " << elements << " elements");
      CHECK(got.y == want.y);
      CHECK(got.dw == want.dw);
      if (elements == all) CHECK(slabs == 1);
      most = std::max(most, slabs);
    }
  }
  CHECK(most >= 10);
}

TEST_CASE("conv3d row chunks: have at most the given size", "[conv3d][kernels]") {
  const Conv3dProblem p = cubic(2, {64, 64, 64}, 32, 32, 3, 1, 1);
  const int64_t elements = int64_t{4} << 20;
  int64_t planes = 0;
  vg::kernels::for_each_row_chunk(p, elements, [&](const RowChunk& s) {
    CHECK(x_size(s.p) + y_size(s.p) <= elements);
    planes += s.p.out_size[0];
  });
  CHECK(planes == 2 * 64);
  CHECK(vg::kernels::chunk_planes(p, elements) == 15);  // with input: 32 x 64 x 64 x 32 elements
}

// The limit is 16 MiB per thread and the transformed weights, for any volume.
TEST_CASE("conv3d kernels: workspace does not grow with the volume", "[conv3d][kernels][large]") {
  const int64_t limit = (int64_t{16} << 20) * vg::num_threads();
  std::vector<Conv3dProblem> problems = {
      cubic(1, {56, 56, 56}, 32, 32, 3, 1, 1),    cubic(1, {64, 64, 64}, 1, 32, 3, 1, 1),
      cubic(1, {96, 96, 96}, 8, 8, 3, 1, 1, 8),   cubic(1, {64, 64, 64}, 32, 4, 1, 1, 0),
      cubic(2, {48, 48, 48}, 16, 32, 3, 2, 1),    cubic(1, {40, 40, 40}, 16, 16, 5, 1, 2),
      cubic(1, {48, 48, 48}, 32, 32, 3, 1, 1, 4), with_kernel(cubic(1, {48, 48, 48}, 32, 32, 3, 1, 1), {1, 3, 3})};
  for (const Conv3dProblem& p : problems) {
    const int64_t weights = 20 * w_size(p) * int64_t{sizeof(float)};  // transformed weights in several partial sums
    INFO("VOXGRAD_CONV3D_CASE=\"" << to_line(p) << "\"");
    for (const std::string algorithm : {"direct", "winograd", "winograd4", "winograd4x4x4"}) {
      const vg::Conv3dAlgorithmGuard scope(algorithm);
      CHECK(most_memory(p, vg::kernels::conv3d_forward<float>, vg::kernels::conv3d_grad_input<float>,
                        vg::kernels::conv3d_grad_weight<float>) <= limit + weights);
    }
    const auto forward = [](const auto&... operands) { vg::kernels::conv3d_forward_bf16(operands...); };
    CHECK(most_memory(p, forward, vg::kernels::conv3d_grad_input_bf16, vg::kernels::conv3d_grad_weight_bf16) <=
          limit + weights);
  }
}
