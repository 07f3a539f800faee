#include "voxgrad/framework/formats/claimed_bytes.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vg::detail {

namespace {
constexpr std::int64_t least = std::int64_t{1} << 20;
constexpr std::int64_t most_bytes = std::int64_t{1} << 18;
}  // namespace

ClaimedBytes::ClaimedBytes(NextBytes next, std::int64_t claimed) : next_(std::move(next)) {
  if (claimed < least) return;
  for (std::int64_t left = claimed / 8; left > 0; left -= most_bytes) {
    const std::int64_t bytes = std::min(left, most_bytes);
    next_(pieces_.emplace_back(static_cast<std::size_t>(bytes)).data(), bytes);
  }
}

void ClaimedBytes::read(void* to, std::int64_t bytes) {
  auto* out = static_cast<unsigned char*>(to);
  while (bytes > 0 && !pieces_.empty()) {
    const std::vector<unsigned char>& first = pieces_.front();
    const std::size_t step = std::min(static_cast<std::size_t>(bytes), first.size() - used_);
    std::memcpy(out, first.data() + used_, step);
    out += step;
    bytes -= static_cast<std::int64_t>(step);
    used_ += step;
    if (used_ < first.size()) continue;
    pieces_.pop_front();
    used_ = 0;
  }
  if (bytes > 0) next_(out, bytes);
}

}  // namespace vg::detail
