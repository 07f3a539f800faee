#include "voxgrad/layers/zoo/check.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg::zoo {

void require_stages(std::string_view net, std::string_view argument, const std::vector<std::int64_t>& entries) {
  bool good = !entries.empty() && entries.size() <= 16;
  for (const std::int64_t entry : entries) good = good && entry >= 1;
  if (!good)
    throw ValueError(fmt::format("[{}] {}: got ({}); must be 1 to 16 numbers of at least 1", net, argument,
                                 fmt::join(entries, ", ")));
}

void require_divisible(std::string_view net, const Size& in_size, std::size_t halvings) {
  check_size(net, in_size, 4);
  const std::int64_t by = std::int64_t{1} << halvings;
  for (std::size_t i = 0; i < 3; ++i)
    if (in_size[i] != dynamic && in_size[i] % by != 0)
      throw ValueError(fmt::format("[{}] in_size: got {}; the spatial extents must be divisible by {}", net,
                                   size_text(in_size), by));
}

}  // namespace vg::zoo
