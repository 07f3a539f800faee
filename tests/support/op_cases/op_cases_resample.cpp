// Rows for resampling, adaptive pools, activations with parameters, and dropout of channels.
#include "support/op_cases/op_cases.hpp"
#include "voxgrad/framework/ops/dropout.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/pool3d.hpp"

namespace vg::test {

namespace {

using In = const std::vector<Variable>&;

constexpr Triple larger{5, 3, 4}, smaller{2, 1, 2}, one{1, 1, 1};
constexpr std::array<double, 3> factor{1.6, 2, 0.7};

const bool resampling = add_op_cases({
    {"upsample_trilinear3d", "", [](In v) { return upsample_trilinear3d(v[0], larger); }, {{2, 2, 3, 2, 2}}},
    {"upsample_trilinear3d",
     "corners",
     [](In v) { return upsample_trilinear3d(v[0], larger, true); },
     {{1, 2, 2, 3, 1}}},
    {"upsample_trilinear3d", "smaller", [](In v) { return upsample_trilinear3d(v[0], smaller); }, {{1, 5, 3, 3, 2}}},
    {"upsample_trilinear3d",
     "square",
     [](In v) { return upsample_trilinear3d(v[0] * v[0], larger); },
     {{1, 2, 2, 2, 1}}},
    {"rescale_trilinear3d", "", [](In v) { return rescale_trilinear3d(v[0], factor); }, {{1, 2, 2, 3, 2}}},
    {"adaptive_avg_pool3d", "", [](In v) { return adaptive_avg_pool3d(v[0], smaller); }, {{2, 5, 3, 3, 2}}},
    {"adaptive_avg_pool3d", "larger", [](In v) { return adaptive_avg_pool3d(v[0], larger); }, {{1, 2, 2, 3, 2}}},
    {"adaptive_avg_pool3d", "square", [](In v) { return adaptive_avg_pool3d(v[0] * v[0], one); }, {{1, 2, 3, 2, 2}}},
    {"adaptive_max_pool3d", "", [](In v) { return adaptive_max_pool3d(v[0], smaller); }, {{2, 5, 3, 3, 2}}},
    {"adaptive_max_pool3d", "larger", [](In v) { return adaptive_max_pool3d(v[0], larger); }, {{1, 2, 2, 3, 2}}},
    {"adaptive_max_pool3d", "square", [](In v) { return adaptive_max_pool3d(v[0] * v[0], one); }, {{1, 2, 3, 2, 2}}},
});

const bool activations = add_op_cases({
    {"prelu", "one slope", [](In v) { return prelu(v[0], v[1]); }, {{2, 3, 2}, {1}}},
    {"prelu", "channels", [](In v) { return prelu(v[0], v[1]); }, {{2, 3, 4}, {4}}},
    {"prelu", "of a cube", [](In v) { return prelu(pow(v[0], 3.0), v[1] * v[1]); }, {{3, 2}, {2}}},
    {"elu", "", [](In v) { return elu(v[0]); }, {{8}}},
    {"elu", "alpha", [](In v) { return elu(v[0] * v[0] - 1.0, 0.3); }, {{8}}},
    {"softplus", "beta", [](In v) { return softplus(v[0], 2.5, 20); }, {{8}}, -6, 6},
    {"softplus", "above the threshold", [](In v) { return softplus(v[0] * v[0], 4, 1); }, {{8}}, 1, 2},
    {"spatial_dropout3d", "", [](In v) { return spatial_dropout3d(v[0], 0.6, random::key_of(3)); }, {{3, 2, 1, 2, 3}}},
    {"spatial_dropout3d",
     "of a square",
     [](In v) { return spatial_dropout3d(v[0] * v[0], 0.6, random::key_of(3)); },
     {{3, 2, 1, 2, 3}}},
});

}  // namespace

}  // namespace vg::test
