#include "voxgrad/layers/input_check.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg::detail {

std::string layout_hint(const Shape& x, const Size& in_size, bool channel_first, bool option) {
  const bool volume = x.rank() == 5 || (x.rank() == 4 && in_size.size() == 4);
  if (!volume || (in_size.size() != 4 && in_size.size() != 1)) return "";
  const std::size_t first = x.rank() == 5 ? 1 : 0, last = x.size() - 1;
  const std::size_t here = channel_first ? first : last, there = channel_first ? last : first;
  const std::int64_t channels = channel_first ? in_size.front() : in_size.back();
  if (x[here] == channels || x[there] != channels) return "";
  const bool batch = first == 1;
  constexpr const char* names[] = {"channels-last", "channels-first"};
  const char* layout =
      channel_first ? (batch ? "(B, C, H, W, D)" : "(C, H, W, D)") : (batch ? "(B, H, W, D, C)" : "(H, W, D, C)");
  const char* axes =
      channel_first ? (batch ? "{0, 4, 1, 2, 3}" : "{3, 0, 1, 2}") : (batch ? "{0, 2, 3, 4, 1}" : "{1, 2, 3, 0}");
  std::string hint = fmt::format(
      "; the input looks {} ({} channels at axis {}), the layer is {}, {}: permute it with "
      "vg::transpose(x, {})",
      names[channel_first ? 0 : 1], channels, there, names[channel_first ? 1 : 0], layout, axes);
  if (option) hint += fmt::format(", or make the layer with .channel_first = {}", !channel_first);
  return hint;
}

void refuse_shape(const std::string& where, const Shape& x, const Size& in_size, const std::string& hint) {
  const std::string sample = size_text(in_size);
  throw ValueError(
      fmt::format("[{}] input: got {}; must be {}, or (B, {}{}", where, x.str(), sample, sample.substr(1), hint));
}

void refuse_dtype(const std::string& where, DType got, DType parameters) {
  const std::string model = is_float(got) ? fmt::format(", or the model with model.to(vg::{})", name_of(got)) : "";
  throw TypeError(
      fmt::format("[{}] input: got {}; the layer's parameters are {}: convert the input with x.to(vg::{}){}", where,
                  name_of(got), name_of(parameters), name_of(parameters), model));
}

}  // namespace vg::detail
