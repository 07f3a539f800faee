// Moving voxels by index tables: crop, pad, flip, shift and rotation are each one table an axis. Internal to data/.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "voxgrad/data/volume.hpp"

namespace vg::detail {

/// What an output index along one axis reads: element offsets into the source (voxel index times stride), -1 for
/// outside.
using OffsetTable = std::vector<std::int64_t>;

/// (H, W, D) of a tensor (H, W, D[, C]). Throws ValueError, beginning with [where], for another rank.
Triple extent_of(std::string_view where, const Tensor& t);
std::int64_t channels_of(const Tensor& t);
/// Element strides of H, W, D.
Triple strides_of(const Tensor& t);

/// The table that reads indices first, first + step, ... (count of them) of `axis`; those outside give -1, or wrap
/// round.
OffsetTable offsets_along(const Tensor& t, int axis, std::int64_t first, std::int64_t step, std::int64_t count,
                          bool wrap = false);
/// The table that reads the whole axis in order.
OffsetTable whole_axis(const Tensor& t, int axis);

/// out(i, j, k, c) = source element tables[0][i] + tables[1][j] + tables[2][k] + c, or `fill` where a table says -1.
/// The output has the tables' sizes as extents and the source's channels, rank and dtype.
Tensor gather(const Tensor& t, const std::array<OffsetTable, 3>& tables, double fill = 0);

}  // namespace vg::detail
