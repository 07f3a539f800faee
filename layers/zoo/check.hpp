// Argument checks that the nets share.
#pragma once

#include <string_view>
#include <vector>

#include "voxgrad/layers/conv/geometry.hpp"

namespace vg::zoo {

/// Throws ValueError, with a message that begins with [net], unless there are 1 to 16 entries and all are at least 1.
void require_stages(std::string_view net, std::string_view argument, const std::vector<std::int64_t>& entries);
/// Throws ValueError, with a message that begins with [net], unless in_size is (H, W, D, C) and each spatial extent is
/// vg::dynamic or divisible by 2^halvings.
void require_divisible(std::string_view net, const Size& in_size, std::size_t halvings);

}  // namespace vg::zoo
