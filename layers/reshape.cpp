#include "voxgrad/layers/reshape.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/pool3d.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

// Joins the extents from first to last into one, which is vg::dynamic if one of them is.
Size joined(const Size& size, std::size_t first, std::size_t last) {
  const auto begin = size.begin() + static_cast<std::ptrdiff_t>(first),
             end = size.begin() + static_cast<std::ptrdiff_t>(last) + 1;
  Size out(size.begin(), begin);
  out.push_back(std::find(begin, end, dynamic) != end ? dynamic : Shape(std::vector<std::int64_t>(begin, end)).numel());
  out.insert(out.end(), end, size.end());
  return out;
}

}  // namespace

void FlattenOptions::fields(Fields& f) {
  f("start_axis", start_axis);
  f("end_axis", end_axis);
  f("in_size", in_size);
  f("name", name);
}

Flatten::Flatten(FlattenOptions options) : LayerWith(std::move(options)) { start(); }

void Flatten::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_extents(where(), in_size);
  const int rank = static_cast<int>(in_size.size());
  const int first = normalize_axis(where() + "] [start_axis", options_.start_axis, rank),
            last = normalize_axis(where() + "] [end_axis", options_.end_axis, rank);
  if (first > last)
    throw ValueError(fmt::format("[{}] start_axis, end_axis: got {} and {}; the first must not come after the last",
                                 where(), options_.start_axis, options_.end_axis));
  set_sizes(in_size, joined(in_size, static_cast<std::size_t>(first), static_cast<std::size_t>(last)));
}

Variable Flatten::update(Variable x) {
  require_trailing(x);
  const auto rank = static_cast<int>(in_size().size());
  const std::size_t before = x.shape().size() - in_size().size();
  const auto at = [&](int axis) { return before + static_cast<std::size_t>(normalize_axis(where(), axis, rank)); };
  return reshape(x, joined(x.shape().vec(), at(options_.start_axis), at(options_.end_axis)));
}

void UpsampleOptions::fields(Fields& f) {
  f("scale", scale);
  f("mode", mode, {"nearest", "trilinear"});
  const bool trilinear = mode == "trilinear";
  f.when(trilinear, "align_corners", align_corners);
  f.if_given("size", size);
  f.if_given("scale_factor", scale_factor);
  f("in_size", in_size);
  f("name", name);
  if (!f.checking()) return;
  if (!trilinear && (align_corners || size.given() || !scale_factor.empty()))
    f.refuse(align_corners  ? "align_corners"
             : size.given() ? "size"
                            : "scale_factor",
             "given with mode \"nearest\"; only \"trilinear\" has it");
  if (scale_factor.empty()) return;
  if (size.given()) f.refuse("size, scale_factor", "got both; must be one of them");
  bool good = scale_factor.size() == 1 || scale_factor.size() == 3;
  for (const double factor : scale_factor) good = good && factor > 0 && factor <= INT32_MAX;
  if (!good)
    f.refuse("scale_factor",
             fmt::format("got ({}); must be 1 or 3 numbers in (0, 2147483647]", fmt::join(scale_factor, ", ")));
  if (scale_factor.size() == 1) scale_factor.resize(3, scale_factor[0]);
}

Upsample::Upsample(UpsampleOptions options) : LayerWith(std::move(options)) { start(); }

// The output extent of axis i for an input extent `in`.
std::int64_t Upsample::extent(std::size_t i, std::int64_t in) const {
  const UpsampleOptions& o = options_;
  if (o.size.given()) return o.size.values()[i];
  if (in == dynamic) return dynamic;
  if (!o.scale_factor.empty())
    return static_cast<std::int64_t>(std::floor(static_cast<double>(in) * o.scale_factor[i]));
  const std::int64_t scale = o.scale.values()[i];
  return in > INT64_MAX / scale ? INT64_MAX : in * scale;  // the op refuses INT64_MAX
}

void Upsample::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  Size out = in_size;
  for (std::size_t i = 0; i < 3; ++i) {
    out[i] = extent(i, in_size[i]);
    if (out[i] == 0) throw ValueError(fmt::format("[{}] output: would be empty for {}", where(), size_text(in_size)));
  }
  set_sizes(in_size, out);
}

Variable Upsample::update(Variable x) {
  const bool batch = is_batch_of_volumes(x);
  const Variable v = batch ? x : detail::with_batch(x);
  const UpsampleOptions& o = options_;
  Variable y;
  if (!o.scale_factor.empty())
    y = rescale_trilinear3d(v, {o.scale_factor[0], o.scale_factor[1], o.scale_factor[2]}, o.align_corners);
  else if (o.mode == "trilinear")
    y = upsample_trilinear3d(v, {extent(0, v.dim(1)), extent(1, v.dim(2)), extent(2, v.dim(3))}, o.align_corners);
  else
    y = upsample_nearest3d(v, o.scale.values());
  return batch ? y : detail::without_batch(y);
}

}  // namespace vg
