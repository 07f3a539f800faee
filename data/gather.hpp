// Moves voxels by index tables, one per axis: crop, pad, flip, shift and rotation are all tables. Internal to data/.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "voxgrad/data/volume.hpp"

namespace vg::detail {

/// The source of each output index along one axis: element offsets (voxel index times stride), or -1 for indices
/// outside the source.
using OffsetTable = std::vector<std::int64_t>;

/// (H, W, D) of a tensor (H, W, D[, C]). Throws ValueError for another rank; the message begins with [where].
Triple extent_of(std::string_view where, const Tensor& t);
std::int64_t channels_of(const Tensor& t);
/// The element strides of H, W, D.
Triple strides_of(const Tensor& t);

/// The table for the indices first, first + step, ... (`count` of them) of `axis`. Indices outside give -1, or wrap
/// around.
OffsetTable offsets_along(const Tensor& t, int axis, std::int64_t first, std::int64_t step, std::int64_t count,
                          bool wrap = false);
/// The table for the whole axis in order.
OffsetTable whole_axis(const Tensor& t, int axis);

/// out(i, j, k, c) = source element tables[0][i] + tables[1][j] + tables[2][k] + c, or `fill` if a table has -1. The
/// output's extents are the tables' sizes; its channels, rank and dtype are those of the source.
Tensor gather(const Tensor& t, const std::array<OffsetTable, 3>& tables, double fill = 0);

}  // namespace vg::detail
