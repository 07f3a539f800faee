#include "voxgrad/layers/init/init.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/layers/init/init_orthogonal.hpp"
#include "voxgrad/layers/init/parameter_limit.hpp"

namespace vg {

Tensor Initializer::operator()(const Shape& shape) const {
  if (value_.defined()) return value_;
  if (!draw_) throw ValueError("[Initializer] there is neither a function nor an array");
  return draw_(shape);
}

std::string Initializer::str() const {
  if (value_.defined() && text_.empty()) return "array " + form(value_);
  return text_.empty() ? "None" : text_;
}

Initializer Initializer::used() const {
  Initializer text;
  text.text_ = str();
  return text;
}

Initializer Initializer::holding(const Tensor& value) const {
  Initializer array = used();
  array.value_ = value;
  return array;
}

namespace init {

namespace {

random::Key next_key() { return random::default_generator().next(); }

// x * scale + shift in float32, the arithmetic of brainstate's draws.
Tensor scaled(Tensor x, float scale, float shift = 0) {
  float* v = x.data<float>();
  for (std::int64_t i = 0; i < x.numel(); ++i) v[i] = v[i] * scale + shift;
  return x;
}

void require_positive(const char* name, double scale) {
  if (!(scale > 0)) throw ValueError(fmt::format("[{}] scale: got {}; must be positive", name, scale));
}

double fan_of(const Shape& shape, const std::string& mode, int in_axis, int out_axis) {
  if (shape.rank() < 2)
    throw ValueError(fmt::format("[VarianceScaling] shape: got {}; must have at least 2 axes", shape.str()));
  const auto in = static_cast<double>(shape.at(in_axis)), out = static_cast<double>(shape.at(out_axis));
  const double receptive = static_cast<double>(shape.numel()) / in / out;
  if (mode == "fan_in") return in * receptive;
  if (mode == "fan_out") return out * receptive;
  return (in * receptive + out * receptive) / 2;
}

Tensor draw_scaled(const Shape& shape, double variance64, const std::string& distribution) {
  const auto variance = static_cast<float>(variance64);
  if (distribution == "truncated_normal")
    return scaled(random::truncated_normal(next_key(), shape, -2, 2), std::sqrt(variance) / 0.87962566103423978F);
  if (distribution == "normal") return scaled(random::normal(next_key(), shape), std::sqrt(variance));
  return scaled(random::uniform(next_key(), shape, -1, 1), std::sqrt(3 * variance));
}

Initializer variance_scaling(const char* name, double scale, std::string mode, std::string distribution,
                             int in_axis = -2, int out_axis = -1) {
  require_positive(name, scale);
  if (mode != "fan_in" && mode != "fan_out" && mode != "fan_avg")
    throw ValueError(fmt::format(R"([{}] mode: got "{}"; must be "fan_in", "fan_out" or "fan_avg")", name, mode));
  if (distribution != "truncated_normal" && distribution != "normal" && distribution != "uniform")
    throw ValueError(fmt::format(R"([{}] distribution: got "{}"; must be "truncated_normal", "normal" or "uniform")",
                                 name, distribution));
  std::string text = fmt::format("{}({}, {}, {})", name, scale, mode, distribution);
  return {[=](const Shape& shape) {
            const double fan = fan_of(shape, mode, in_axis, out_axis);
            return draw_scaled(shape, scale / fan, distribution);
          },
          std::move(text)};
}

}  // namespace

Initializer ZeroInit() {
  return {[](const Shape& shape) { return Tensor::zeros(shape); }, "ZeroInit()"};
}

Initializer Constant(double value) {
  return {[=](const Shape& shape) { return Tensor::full(shape, value); }, fmt::format("Constant({})", value)};
}

Initializer Normal(double mean, double scale) {
  return {[=](const Shape& shape) { return random::normal(next_key(), shape, mean, scale); },
          fmt::format("Normal({}, {})", mean, scale)};
}

Initializer Uniform(double min_val, double max_val) {
  return {[=](const Shape& shape) { return random::uniform(next_key(), shape, min_val, max_val); },
          fmt::format("Uniform({}, {})", min_val, max_val)};
}

Initializer TruncatedNormal(double loc, double scale, double lower, double upper) {
  require_positive("TruncatedNormal", scale);
  if (!(lower < upper))
    throw ValueError(fmt::format("[TruncatedNormal] bounds: got {} and {}; lower must be below upper", lower, upper));
  return {[=](const Shape& shape) {
            Tensor x = random::truncated_normal(next_key(), shape, (lower - loc) / scale, (upper - loc) / scale);
            x = scaled(std::move(x), static_cast<float>(scale), static_cast<float>(loc));
            const float low = std::nextafter(static_cast<float>(lower), INFINITY),
                        high = std::nextafter(static_cast<float>(upper), -INFINITY);
            std::for_each_n(x.data<float>(), x.numel(), [=](float& v) { v = std::clamp(v, low, high); });
            return x;
          },
          fmt::format("TruncatedNormal({}, {}, {}, {})", loc, scale, lower, upper)};
}

Initializer VarianceScaling(double scale, std::string mode, std::string distribution, int in_axis, int out_axis) {
  return variance_scaling("VarianceScaling", scale, std::move(mode), std::move(distribution), in_axis, out_axis);
}
Initializer KaimingNormal(double scale, std::string mode) {
  return variance_scaling("KaimingNormal", scale, std::move(mode), "truncated_normal");
}
Initializer KaimingUniform(double scale, std::string mode) {
  return variance_scaling("KaimingUniform", scale, std::move(mode), "uniform");
}
Initializer XavierNormal(double scale, std::string mode) {
  return variance_scaling("XavierNormal", scale, std::move(mode), "truncated_normal");
}
Initializer XavierUniform(double scale, std::string mode) {
  return variance_scaling("XavierUniform", scale, std::move(mode), "uniform");
}
Initializer LecunNormal(double scale, std::string mode) {
  return variance_scaling("LecunNormal", scale, std::move(mode), "truncated_normal");
}
Initializer LecunUniform(double scale, std::string mode) {
  return variance_scaling("LecunUniform", scale, std::move(mode), "uniform");
}

Initializer Orthogonal(double scale, int axis) {
  return {[=](const Shape& shape) { return draw_orthogonal(next_key(), shape, static_cast<float>(scale), axis); },
          fmt::format("Orthogonal({})", scale)};
}

Initializer DeltaOrthogonal(double scale, int axis) {
  return {[=](const Shape& shape) {
            if (shape.rank() < 3 || shape.rank() > 5)
              throw ValueError(fmt::format("[DeltaOrthogonal] shape: got {}; must have 3, 4 or 5 axes", shape.str()));
            if (shape.at(-1) < shape.at(-2))
              throw ValueError(fmt::format(
                  "[DeltaOrthogonal] shape: got {}; the last extent must be at least the one before", shape.str()));
            const Tensor matrix =
                draw_orthogonal(next_key(), {shape.at(-2), shape.at(-1)}, static_cast<float>(scale), axis);
            Tensor kernel = Tensor::zeros(shape);
            std::int64_t middle = 0;
            for (std::size_t i = 0; i + 2 < shape.size(); ++i) middle = middle * shape[i] + (shape[i] - 1) / 2;
            std::copy_n(matrix.data<float>(), matrix.numel(), kernel.data<float>() + middle * matrix.numel());
            return kernel;
          },
          fmt::format("DeltaOrthogonal({})", scale)};
}

double calculate_init_gain(std::string_view nonlinearity, std::optional<double> param) {
  for (std::string_view linear :
       {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid"})
    if (nonlinearity == linear) return 1;
  if (nonlinearity == "tanh") return 5.0 / 3;
  if (nonlinearity == "relu") return std::sqrt(2.0);
  if (nonlinearity == "selu") return 3.0 / 4;
  if (nonlinearity == "leaky_relu") {
    const double slope = param.value_or(0.01);
    return std::sqrt(2.0 / (1 + slope * slope));
  }
  throw ValueError(fmt::format(
      "[calculate_init_gain] nonlinearity: got \"{}\"; must be linear, conv1d, conv2d, conv3d, conv_transpose1d, "
      "conv_transpose2d, conv_transpose3d, sigmoid, tanh, relu, leaky_relu or selu",
      nonlinearity));
}

}  // namespace init

Tensor make_parameter(std::string_view where, std::string_view argument, const Initializer& from, const Shape& shape) {
  if (!from) throw ValueError(fmt::format("[{}] {}: got None; must be an initializer or an array", where, argument));
  if (!from.is_array()) detail::take_from_limit(where, shape.numel());
  Tensor value = from(shape);
  if (!value.defined() || value.shape() != shape)
    throw ValueError(
        fmt::format("[{}] {}: got shape {}; must be {}", where, argument, value.shape().str(), shape.str()));
  if (!is_float(value.dtype())) throw TypeError(fmt::format("[{}] {}: got i32; must be f32 or f64", where, argument));
  return value;
}

Tensor make_broadcast(std::string_view where, std::string_view argument, const Initializer& from, const Shape& shape,
                      std::optional<DType> dtype) {
  if (!from.is_array()) detail::take_from_limit(where, shape.numel());
  Tensor value = from(shape);
  bool fits = value.defined() && value.rank() <= shape.rank();
  for (int axis = 1; fits && axis <= value.rank(); ++axis)
    fits = value.dim(-axis) == 1 || value.dim(-axis) == shape.at(-axis);
  if (!fits)
    throw ValueError(
        fmt::format("[{}] {}: got shape {}; must broadcast to {}", where, argument, value.shape().str(), shape.str()));
  return dtype ? value.to(*dtype) : value;
}

void field(Fields& f, std::string_view name, Initializer& initializer) {
  std::string text = initializer.str();
  if (f.listing()) return f.list(name, text);
  f.pass(name, text, "a string");
  if (!f.loading()) return;
  initializer = {};
  if (text != "None") initializer = {[](const Shape& shape) { return Tensor::zeros(shape); }, text};
}

void required_initializer(Fields& f, std::string_view name, Initializer& initializer) {
  if (f.checking() && !initializer) f.refuse(name, "got None; must be an initializer or an array");
  field(f, name, initializer);
}

void mask_field(Fields& f, const std::string& name, Initializer& mask) {
  field(f, name, mask);
  std::vector<std::int64_t> shape;
  std::vector<double> values;
  if (f.saving() && mask.is_array()) {
    const Tensor array = mask(Shape());
    shape = array.shape().vec();
    values = array.values();
  }
  const bool stored = f.loading() && mask;
  if (stored && !f.has(name + "_values"))
    f.refuse(name, fmt::format("the description has no \"{}_values\": the layer was saved before masks were, or before "
                               "it was built",
                               name));
  if (!stored && !(f.saving() && mask.is_array())) return;
  f.pass(name + "_shape", shape, "a list of integers");
  f.pass(name + "_values", values, "a list of reals");
  if (stored) mask = mask.holding(Tensor::of<double>(Shape(shape), values));
}

}  // namespace vg
