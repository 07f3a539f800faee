#include "layers/reshape.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "framework/error.hpp"
#include "framework/ops/pool3d.hpp"
#include "framework/ops/shape_ops.hpp"

namespace vg {

namespace {

// The extents with those from first to last joined into one, which is vg::any if one of them is.
Size joined(const Size& size, std::size_t first, std::size_t last) {
  const auto begin = size.begin() + static_cast<std::ptrdiff_t>(first),
             end = size.begin() + static_cast<std::ptrdiff_t>(last) + 1;
  Size out(size.begin(), begin);
  out.push_back(std::find(begin, end, any) != end ? any : Shape(std::vector<std::int64_t>(begin, end)).numel());
  out.insert(out.end(), end, size.end());
  return out;
}

}  // namespace

Flatten::Flatten(FlattenOptions o) : Layer(std::move(o.name)), start_axis_(o.start_axis), end_axis_(o.end_axis) {
  if (!o.in_size.empty()) build(o.in_size);
}

void Flatten::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_extents(where(), in_size);
  const int rank = static_cast<int>(in_size.size());
  const int first = normalize_axis(where() + "] [start_axis", start_axis_, rank),
            last = normalize_axis(where() + "] [end_axis", end_axis_, rank);
  if (first > last)
    throw ValueError(fmt::format("[{}] start_axis, end_axis: got {} and {}; the first must not stand after the last",
                                 where(), start_axis_, end_axis_));
  set_sizes(in_size, joined(in_size, static_cast<std::size_t>(first), static_cast<std::size_t>(last)));
}

Variable Flatten::update(const Variable& x) {
  require_trailing(x);
  const auto rank = static_cast<int>(in_size().size());
  const std::size_t before = x.shape().size() - in_size().size();
  const auto at = [&](int axis) { return before + static_cast<std::size_t>(normalize_axis(where(), axis, rank)); };
  return reshape(x, joined(x.shape().vec(), at(start_axis_), at(end_axis_)));
}

Values Flatten::options() const {
  return {{"start_axis", std::int64_t{start_axis_}},
          {"end_axis", std::int64_t{end_axis_}},
          {"in_size", in_size()},
          {"name", name()}};
}

Upsample::Upsample(UpsampleOptions o) : Layer(std::move(o.name)) {
  scale_ = o.scale.checked(where(), "scale");
  if (o.mode != "nearest") throw ValueError(fmt::format("[{}] mode: got \"{}\"; must be \"nearest\"", where(), o.mode));
  if (!o.in_size.empty()) build(o.in_size);
}

void Upsample::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  Size out = in_size;
  for (std::size_t i = 0; i < 3; ++i)
    if (out[i] != any) out[i] *= scale_[i];
  set_sizes(in_size, out);
}

Variable Upsample::update(const Variable& x) {
  if (!built() && x.rank() != 4 && x.rank() != 5)
    throw ValueError(
        fmt::format("[{}] input: got {}; must be (B, H, W, D, C) or (H, W, D, C)", where(), x.shape().str()));
  const bool batch = built() ? has_batch(x) : x.rank() == 5;
  return batch ? upsample_nearest3d(x, scale_) : without_batch(upsample_nearest3d(with_batch(x), scale_));
}

Values Upsample::options() const {
  return {{"scale", std::vector<std::int64_t>(scale_.begin(), scale_.end())},
          {"mode", std::string("nearest")},
          {"in_size", in_size()},
          {"name", name()}};
}

}  // namespace vg
