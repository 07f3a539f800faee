#include "voxgrad/framework/checkpoint/level.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/text.hpp"

namespace vg::checkpoint {

std::string in_quotes(const Scalar& s) {
  switch (s.kind) {
    case Scalar::Kind::boolean:
      return s.truth ? "true" : "false";
    case Scalar::Kind::natural:
      return std::to_string(s.natural);
    case Scalar::Kind::negative:
      return s.negative == 0 ? "-0" : std::to_string(s.negative);
    case Scalar::Kind::real:
      return std::string(s.text.substr(0, 60)) + (s.text.size() <= 60 ? "" : "...");
    case Scalar::Kind::text:
      return in_quotes(s.text);
    default:
      return "null";
  }
}

std::string_view as_text(const Scalar& s) {
  if (s.kind != Scalar::Kind::text) throw ParseError(fmt::format("got {}; must be a string", in_quotes(s)));
  return s.text;
}

std::int64_t as_integer(const Scalar& s) {
  if (s.kind == Scalar::Kind::negative) return s.negative;
  if (s.kind == Scalar::Kind::natural &&
      s.natural <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return static_cast<std::int64_t>(s.natural);
  throw ParseError(
      fmt::format("got {}; must be an integer of at most 64 bits, without fraction or exponent", in_quotes(s)));
}

namespace {

float rounded(const Scalar& s, float) { return parse_float(s.text); }
double rounded(const Scalar& s, double) { return parse_double(s.text); }

template <class T>
T as_real(const Scalar& s) {
  constexpr const char* name = sizeof(T) == 4 ? "f32" : "f64";
  switch (s.kind) {
    case Scalar::Kind::natural:
      return static_cast<T>(s.natural);
    case Scalar::Kind::negative:
      return s.negative == 0 ? -T{0} : static_cast<T>(s.negative);
    case Scalar::Kind::real:
      if (const T v = rounded(s, T{}); std::isfinite(v)) return v;
      throw ParseError(fmt::format("got {}, which is out of the range of {}", in_quotes(s), name));
    case Scalar::Kind::text:
      if (T v{}; parse_special(s.text, v)) return v;
      throw ParseError(
          fmt::format("got {}; besides numbers {} has \"nan\", \"inf\", \"-inf\" and \"nan:0x\" with {} lower-case "
                      "digits that are a NaN's bits",
                      in_quotes(s), name, 2 * sizeof(T)));
    default:
      throw ParseError(fmt::format("got {}; must be a number of {}", in_quotes(s), name));
  }
}

}  // namespace

template <>
float as_number<float>(const Scalar& s) {
  return as_real<float>(s);
}
template <>
double as_number<double>(const Scalar& s) {
  return as_real<double>(s);
}
template <>
std::int32_t as_number<std::int32_t>(const Scalar& s) {
  if (s.kind != Scalar::Kind::natural && s.kind != Scalar::Kind::negative)
    throw ParseError(fmt::format("got {}; i32 takes integers only, without fraction or exponent", in_quotes(s)));
  const std::int64_t v = s.kind == Scalar::Kind::natural && s.natural >> 32 != 0
                             ? std::numeric_limits<std::int64_t>::max()
                             : as_integer(s);
  if (v < std::numeric_limits<std::int32_t>::min() || v > std::numeric_limits<std::int32_t>::max())
    throw ParseError(fmt::format("got {}, which is out of the range of i32", in_quotes(s)));
  return static_cast<std::int32_t>(v);
}

void Level::scalar(const Scalar& s) { throw ParseError(fmt::format("got {}; must be {}", in_quotes(s), expected())); }

LevelPtr Level::open(Opened what) {
  throw ParseError(fmt::format("got {}; must be {}", what == Opened::object ? "an object" : "an array", expected()));
}

void Record::scalar_field(std::string_view name, std::function<void(const Scalar&)> take, Need need) {
  fields_.push_back({name, "a string, number or truth value", std::move(take), {}, need});
}
void Record::object_field(std::string_view name, std::function<LevelPtr()> open, Need need) {
  fields_.push_back({name, "an object", {}, std::move(open), need});
}
void Record::list_field(std::string_view name, std::function<LevelPtr()> open, Need need) {
  fields_.push_back({name, "an array", {}, std::move(open), need});
}
void Record::text_field(std::string_view name, std::string& out) {
  scalar_field(name, [&out](const Scalar& s) { out = as_text(s); });
}

void Record::key(const std::string& name) {
  const auto it = std::find_if(fields_.begin(), fields_.end(), [&](const Field& f) { return f.name == name; });
  const auto index = static_cast<std::size_t>(it - fields_.begin());
  for (std::size_t i = 0; i < std::min(leading_, index); ++i)
    if (!fields_[i].seen)
      throw ParseError(fmt::format("got the key {}; \"{}\" must come before it", in_quotes(name), fields_[i].name));
  if (it == fields_.end()) {
    std::string names;
    for (const Field& f : fields_) names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", f.name);
    throw ParseError(fmt::format("got the key {}; allowed are {}", in_quotes(name), names));
  }
  now_ = &*it;
  now_->seen = true;
}

std::string Record::expected() const { return std::string(now_->is); }
void Record::scalar(const Scalar& s) { now_->take ? now_->take(s) : Level::scalar(s); }
LevelPtr Record::open(Opened what) {
  const bool fits = now_->open && (now_->is == "an array") == (what == Opened::list);
  return fits ? now_->open() : Level::open(what);
}

void Record::close() {
  for (const Field& f : fields_)
    if (f.need == Need::required && !f.seen) throw ParseError(fmt::format("the key \"{}\" is missing", f.name));
}

namespace {
void take(const Scalar& s, std::int64_t& out) { out = as_integer(s); }
void take(const Scalar& s, double& out) { out = as_number<double>(s); }
void take(const Scalar& s, std::string& out) { out = as_text(s); }
}  // namespace

template <class T>
void List<T>::scalar(const Scalar& s) {
  if (out_.size() == limit_) throw ParseError(fmt::format("the array has more than {} entries", limit_));
  T value{};
  take(s, value);
  out_.push_back(std::move(value));
}
template <class T>
std::string List<T>::expected() const {
  return std::is_same_v<T, std::string> ? "a string" : std::is_same_v<T, double> ? "a number" : "an integer";
}
template class List<std::int64_t>;
template class List<double>;
template class List<std::string>;

}  // namespace vg::checkpoint
