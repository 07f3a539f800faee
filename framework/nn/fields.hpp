// The list of the members of an options aggregate. It is written once per aggregate:
//
//   struct ELUOptions {
//     double alpha = 1;
//     void fields(vg::Fields& f) { f("alpha", alpha, vg::at_least(0)); }
//   };
//
// The checks of the values, the attributes that a checkpoint stores, the aggregate that load_model makes from them, and
// the tables of the documentation derive from the list.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/nn/description.hpp"

namespace vg {

/// The numbers that an option may have, both ends included. NaN is in no range.
struct Range {
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  std::string_view text{};  ///< for messages: "must be " + text; if empty, it is made from the ends

  bool holds(double value) const { return value >= least && value <= most; }
  std::string str() const;
};
constexpr Range at_least(double least) { return {.least = least}; }
constexpr Range within(double least, double most) { return {least, most}; }
inline constexpr Range any_number{};
inline constexpr Range finite{std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max(), "finite"};
inline constexpr Range positive{.least = std::numeric_limits<double>::denorm_min(), .text = "positive"};
inline constexpr Range finite_above_0{std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::max(),
                                      "finite and above 0"};
inline constexpr Range finite_from_0{0, std::numeric_limits<double>::max(), "finite and at least 0"};
inline constexpr Range from_0_below_1{0, 1 - std::numeric_limits<double>::epsilon() / 2, "in [0, 1)"};

/// Throws ValueError "[where] name: got value; must be ..." unless the range holds the value.
void require_in(const Range& allowed, std::string_view where, std::string_view name, double value);

/// A member of an options aggregate, for tables.
struct FieldInfo {
  std::string name;
  std::string value;  ///< the default's text; empty if there is none
  bool required;      ///< its default is not allowed
};

/// Receives the members that fields() lists. A type that has no overload here needs a function
/// field(Fields&, std::string_view name, T&) in its namespace, which passes a value of another type on.
class Fields {
 public:
  bool checking() const { return mode_ == Mode::check; }
  bool saving() const { return mode_ == Mode::save; }
  bool loading() const { return mode_ == Mode::load; }
  bool listing() const { return mode_ == Mode::list; }
  /// The beginning of messages, "Conv3d encoder".
  const std::string& where() const { return where_; }
  /// Throws ValueError "[where] name: text".
  [[noreturn]] void refuse(std::string_view name, std::string_view text) const;

  void operator()(std::string_view name, bool& value);
  void operator()(std::string_view name, std::int64_t& value, const Range& allowed = any_number);
  void operator()(std::string_view name, double& value, const Range& allowed = any_number);
  /// Without `allowed`, any string.
  void operator()(std::string_view name, std::string& value, std::initializer_list<std::string_view> allowed = {});
  void operator()(std::string_view name, std::vector<std::int64_t>& value);
  void operator()(std::string_view name, std::vector<double>& value);
  void operator()(std::string_view name, std::array<double, 2>& pair, const Range& each);
  /// Axes of a tensor.
  void operator()(std::string_view name, int& axis);
  void operator()(std::string_view name, std::vector<int>& axes);
  /// Stored only if it has a value.
  void operator()(std::string_view name, std::optional<std::int64_t>& value, const Range& allowed = any_number);
  void operator()(std::string_view name, std::optional<double>& value, const Range& allowed = any_number);
  template <class T>
  void operator()(std::string_view name, T& value) {
    field(*this, name, value);
  }
  /// The seed of an own random stream. Not the seed but its presence is stored, as `random`: "own" or "default".
  void seed(std::string_view name, std::optional<std::uint64_t>& value);
  /// A member that may be left out, which its default T{} means. It is stored only if it differs from that.
  template <class T>
  void if_given(std::string_view name, T& value) {
    if (listing() || !(value == T{}) || has(name)) optional([&] { (*this)(name, value); });
  }
  /// A member that exists only on a condition, for example in one mode of the layer.
  template <class T>
  void when(bool condition, std::string_view name, T& value) {
    if (condition || listing() || checking()) optional([&] { (*this)(name, value); });
  }

  /// For field(): stores, loads or lists a value of a basic type. `given`: whether the default may be used as it is.
  template <class T>
  void pass(std::string_view name, T& value, std::string_view type, bool given = true);
  /// Whether the description has this option, when loading.
  bool has(std::string_view name) const { return loading() && find(name) != nullptr; }
  const Value* find(std::string_view name) const;
  /// Adds a row when listing.
  void list(std::string_view name, std::string value, bool required = false);

  template <class O>
  friend void check_fields(std::string where, O& options);
  template <class O>
  friend Attributes saved_fields(O options);
  template <class O>
  friend O loaded_fields(const ModuleConfig& description);
  template <class O>
  friend std::vector<FieldInfo> listed_fields();

 private:
  enum class Mode : std::uint8_t { check, save, load, list };
  Fields(Mode mode, std::string where, const Attributes* from = nullptr)
      : mode_(mode), where_(std::move(where)), from_(from) {}
  template <class F>
  void optional(F&& visit) {
    const bool before = optional_;
    optional_ = true;
    visit();
    optional_ = before;
  }
  template <class T>
  void number(std::string_view name, T& value, const Range& allowed, std::string_view type);

  Mode mode_;
  std::string where_;
  const Attributes* from_;
  Attributes saved_;
  std::vector<FieldInfo> listed_;
  bool optional_ = false;
};

/// Throws ValueError or TypeError that names the first member whose value is not allowed. `where` begins the message.
/// Some members are brought to their stored form: one number for three axes becomes three.
template <class O>
void check_fields(std::string where, O& options) {
  Fields f(Fields::Mode::check, std::move(where));
  options.fields(f);
}
/// The stored form, in the order of the list.
template <class O>
Attributes saved_fields(O options) {
  Fields f(Fields::Mode::save, {});
  options.fields(f);
  return std::move(f.saved_);
}
/// Makes the aggregate of a description. An option that the description does not have keeps its default. Throws
/// ValueError, naming the kind and the option, for a value of another type and for a required option that is missing.
template <class O>
O loaded_fields(const ModuleConfig& description) {
  O options;
  Fields f(Fields::Mode::load, description.kind, &description.options);
  options.fields(f);
  return options;
}
/// The members with their defaults.
template <class O>
std::vector<FieldInfo> listed_fields() {
  O options;
  Fields f(Fields::Mode::list, {});
  options.fields(f);
  return std::move(f.listed_);
}

}  // namespace vg
