// Initializers of parameters, after brainstate.nn.init: the same seed draws the same weights. Each call of a random one
// takes one key from random::default_generator().
//
//   vg::Conv3d conv({.in_size = {8, 8, 8, 1},
//                    .out_channels = 4,
//                    .kernel_size = 3,
//                    .w_init = vg::init::KaimingNormal()});
//   vg::Tensor w = vg::init::Orthogonal()({64, 32});
#pragma once

#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "voxgrad/framework/base/tensor.hpp"
#include "voxgrad/framework/nn/fields.hpp"

namespace vg {

/// The initial value of a parameter: a function of its shape, an array, or nothing (None), which leaves an optional
/// parameter out.
class Initializer {
 public:
  using Draw = std::function<Tensor(const Shape&)>;

  Initializer() = default;
  Initializer(std::nullopt_t) {}
  Initializer(const Tensor& value) : value_(value) {}
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Shape&> && !std::same_as<std::remove_cvref_t<F>, Initializer>)
      Initializer(F draw, std::string text = "custom")
      : draw_(std::move(draw)), text_(std::move(text)) {}

  /// Whether there is a function or an array.
  explicit operator bool() const { return draw_ != nullptr || value_.defined(); }
  bool is_array() const { return value_.defined(); }
  /// The array, or the function's result. Throws ValueError if there is neither.
  Tensor operator()(const Shape& shape) const;
  /// "XavierNormal(1)", "array f32 (3, 3, 3, 1, 4)", "custom" or "None".
  std::string str() const;
  /// The same text without the function or array, whose memory is freed if this is its last copy.
  Initializer used() const;
  /// The same text with this array.
  Initializer holding(const Tensor& value) const;

 private:
  Draw draw_;
  Tensor value_;
  std::string text_;
};

namespace init {

Initializer ZeroInit();
Initializer Constant(double value = 1);
Initializer Normal(double mean = 0, double scale = 1);
/// Uniform in [min_val, max_val).
Initializer Uniform(double min_val = 0, double max_val = 1);
/// Normal(loc, scale), truncated to the values lower and upper themselves, as in brainstate's code (its documentation
/// says they are in units of scale).
Initializer TruncatedNormal(double loc = 0, double scale = 1, double lower = -2, double upper = 2);

/// A distribution of variance scale / fan. mode: "fan_in", "fan_out", "fan_avg"; distribution: "truncated_normal" (at 2
/// standard deviations), "normal", "uniform". fan_in is the extent of in_axis times those of all axes other than
/// in_axis and out_axis; fan_out is the same for out_axis. Throws ValueError for other names and for a scale that is
/// not positive; the call throws it for a shape of rank below 2.
Initializer VarianceScaling(double scale, std::string mode, std::string distribution, int in_axis = -2,
                            int out_axis = -1);
Initializer KaimingNormal(double scale = 2, std::string mode = "fan_in");  ///< truncated, like the other two *Normal
Initializer KaimingUniform(double scale = 2, std::string mode = "fan_in");
Initializer XavierNormal(double scale = 1, std::string mode = "fan_avg");
Initializer XavierUniform(double scale = 1, std::string mode = "fan_avg");
Initializer LecunNormal(double scale = 1, std::string mode = "fan_in");
Initializer LecunUniform(double scale = 1, std::string mode = "fan_in");

/// Orthonormal rows or columns (on the smaller side) of the matrix (extent of axis, all others), times scale.
Initializer Orthogonal(double scale = 1, int axis = -1);
/// Zeros, except for an orthogonal (in, out) matrix in the middle of the kernel. The call throws ValueError unless the
/// rank is 3, 4 or 5 and the last extent is at least the one before it.
Initializer DeltaOrthogonal(double scale = 1, int axis = -1);

/// The recommended gain for weights before the given nonlinearity: "linear", "conv3d" (1d, 2d, conv_transpose...),
/// "sigmoid", "tanh", "relu", "leaky_relu" (param is its negative slope, 0.01 by default), "selu". Throws ValueError
/// for any other name.
double calculate_init_gain(std::string_view nonlinearity, std::optional<double> param = std::nullopt);

}  // namespace init

/// Makes a parameter of that shape. It is f32, unless an array with another floating dtype is given; an array must have
/// the full shape. Throws ValueError (TypeError for i32); the message begins with [where] and names the argument.
Tensor make_parameter(std::string_view where, std::string_view argument, const Initializer& from, const Shape& shape);
/// Makes a mask or bias likewise, except that an array may have any shape that broadcasts to `shape`, and is converted
/// to `dtype` if that is given.
Tensor make_broadcast(std::string_view where, std::string_view argument, const Initializer& from, const Shape& shape,
                      std::optional<DType> dtype = std::nullopt);

/// An initializer in a list of options (framework/nn/fields.hpp). Its text is stored; the one that is loaded has this
/// text and gives zeros.
void field(Fields& f, std::string_view name, Initializer& initializer);
/// Likewise; None is refused.
void required_initializer(Fields& f, std::string_view name, Initializer& initializer);
/// A mask. An array is stored, too, as `name`_shape and `name`_values.
void mask_field(Fields& f, const std::string& name, Initializer& mask);

}  // namespace vg
