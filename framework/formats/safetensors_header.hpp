// The JSON header of a safetensors file, checked on its own; the caller compares it with the data. Internal to
// framework/formats/.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vg::detail {

/// The format's limit of 100 MB, which prevents parsing extremely large JSON.
inline constexpr std::int64_t largest_safetensors_header = 100'000'000;

struct SafetensorsEntry {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::array<std::int64_t, 2> offsets{};  ///< of the first byte and of the one behind the last, both at least 0
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> tensors;  ///< in the header's order
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// An error in a header.
struct HeaderFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws HeaderFault for a malformed header.
SafetensorsHeader parse_safetensors_header(std::string_view text);

}  // namespace vg::detail
