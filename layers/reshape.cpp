#include "voxgrad/layers/reshape.hpp"

#include <algorithm>
#include <cmath>

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
    throw ValueError(fmt::format("[{}] start_axis, end_axis: got {} and {}; the first must not come after the last",
                                 where(), start_axis_, end_axis_));
  set_sizes(in_size, joined(in_size, static_cast<std::size_t>(first), static_cast<std::size_t>(last)));
}

Variable Flatten::update(Variable x) {
  require_trailing(x);
  const auto rank = static_cast<int>(in_size().size());
  const std::size_t before = x.shape().size() - in_size().size();
  const auto at = [&](int axis) { return before + static_cast<std::size_t>(normalize_axis(where(), axis, rank)); };
  return reshape(x, joined(x.shape().vec(), at(start_axis_), at(end_axis_)));
}

Attributes Flatten::options() const {
  return {{"start_axis", std::int64_t{start_axis_}},
          {"end_axis", std::int64_t{end_axis_}},
          {"in_size", in_size()},
          {"name", name()}};
}

namespace {

std::array<double, 3> checked_factor(const std::string& where, const std::vector<double>& given, bool beside_size) {
  if (beside_size) throw ValueError(fmt::format("[{}] size, scale_factor: got both; must be one of them", where));
  bool good = given.size() == 1 || given.size() == 3;
  for (const double factor : given) good = good && factor > 0 && factor <= INT32_MAX;
  if (!good)
    throw ValueError(fmt::format("[{}] scale_factor: got ({}); must be 1 or 3 numbers in (0, 2147483647]", where,
                                 fmt::join(given, ", ")));
  return given.size() == 3 ? std::array{given[0], given[1], given[2]} : std::array{given[0], given[0], given[0]};
}

}  // namespace

Upsample::Upsample(UpsampleOptions o)
    : Layer(std::move(o.name)), trilinear_(o.mode == "trilinear"), align_corners_(o.align_corners) {
  scale_ = o.scale.checked(where(), "scale");
  if (!trilinear_ && o.mode != "nearest")
    throw ValueError(fmt::format("[{}] mode: got \"{}\"; must be \"nearest\" or \"trilinear\"", where(), o.mode));
  if (!trilinear_ && (align_corners_ || o.size.given() || !o.scale_factor.empty()))
    throw ValueError(fmt::format("[{}] {}: given with mode \"nearest\"; only \"trilinear\" has it", where(),
                                 align_corners_   ? "align_corners"
                                 : o.size.given() ? "size"
                                                  : "scale_factor"));
  if (!o.scale_factor.empty()) factor_ = checked_factor(where(), o.scale_factor, o.size.given());
  if (o.size.given()) size_ = o.size.checked(where(), "size");
  if (!o.in_size.empty()) build(o.in_size);
}

// The output extent of axis i for an input extent `in`.
std::int64_t Upsample::extent(std::size_t i, std::int64_t in) const {
  if (size_) return (*size_)[i];
  if (in == dynamic) return dynamic;
  if (factor_) return static_cast<std::int64_t>(std::floor(static_cast<double>(in) * (*factor_)[i]));
  return in > INT64_MAX / scale_[i] ? INT64_MAX : in * scale_[i];  // the op refuses INT64_MAX
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
  Variable y;
  if (factor_)
    y = rescale_trilinear3d(v, *factor_, align_corners_);
  else if (trilinear_)
    y = upsample_trilinear3d(v, {extent(0, v.dim(1)), extent(1, v.dim(2)), extent(2, v.dim(3))}, align_corners_);
  else
    y = upsample_nearest3d(v, scale_);
  return batch ? y : detail::without_batch(y);
}

// Options of "trilinear" are written only in that mode, so that checkpoints from before it existed still fit.
Attributes Upsample::options() const {
  Attributes values{{"scale", detail::list(scale_)}, {"mode", std::string(trilinear_ ? "trilinear" : "nearest")}};
  if (trilinear_) values.emplace_back("align_corners", align_corners_);
  if (factor_) values.emplace_back("scale_factor", std::vector<double>(factor_->begin(), factor_->end()));
  if (size_) values.emplace_back("size", detail::list(*size_));
  return detail::with(std::move(values), {{"in_size", in_size()}, {"name", name()}});
}

}  // namespace vg
