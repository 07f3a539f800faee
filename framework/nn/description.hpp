// Plain data that describes objects: options of a layer, settings of an optimizer. Checkpoints store it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

namespace detail {
using ValueVariant = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                                  std::vector<double>, std::vector<std::string>>;
}

/// A std::variant of these types. It is a class because of a bug in libstdc++ 12: if copying a variant of strings and
/// vectors runs out of memory, it destroys an object that does not exist. So a copy is made as a new value, then moved.
struct Value : detail::ValueVariant {
  using detail::ValueVariant::ValueVariant;
  using detail::ValueVariant::operator=;
  Value(const Value& other)
      : detail::ValueVariant(std::visit([](const auto& v) { return detail::ValueVariant(v); },
                                        static_cast<const detail::ValueVariant&>(other))) {}
  Value(Value&&) noexcept = default;
  Value& operator=(const Value& other) { return *this = Value(other); }
  Value& operator=(Value&&) noexcept = default;
  ~Value() = default;
};
/// Ordered pairs; the names are unique.
using Attributes = std::vector<std::pair<std::string, Value>>;

/// std::vector<std::pair<std::string, T>> for a T that holds such a vector itself. The special members are written out
/// because clang 14 needs a complete T for the constexpr ones of a plain vector.
template <class T>
struct Named : std::vector<std::pair<std::string, T>> {
  using Base = std::vector<std::pair<std::string, T>>;
  using Base::Base;
  using Base::operator=;
  Named() {}
  Named(const Named& other) : Base(other) {}
  Named(Named&& other) noexcept : Base(std::move(other)) {}
  Named& operator=(const Named& other) { return Base::operator=(other), *this; }
  Named& operator=(Named&& other) noexcept { return Base::operator=(std::move(other)), *this; }
  ~Named() {}
};

/// A module's kind ("Conv3d"), its options by the names of its options aggregate, and its named submodules.
struct ModuleConfig {
  std::string kind;
  Attributes options;
  Named<ModuleConfig> children;
};

/// The saved form of an object: values, tensors and named parts.
struct StateDict {
  Attributes values;
  std::vector<std::pair<std::string, Tensor>> tensors;
  Named<StateDict> parts;

  /// The value, tensor or part of that name. Throws IoError, naming it, if it is missing or of another type.
  template <class T>
  const T& get(std::string_view name) const;
  const Tensor& tensor(std::string_view name) const;
  const StateDict& part(std::string_view name) const;
  bool has_value(std::string_view name) const;
  bool has_tensor(std::string_view name) const;
};

/// An object that a checkpoint can store beside a model: an optimizer, a schedule, a loader, a history.
class Stateful {
 public:
  virtual ~Stateful() = default;
  virtual StateDict save_state() const = 0;
  /// The problems that would prevent loading `state`, one line each; empty if there are none. Changes nothing.
  virtual std::vector<std::string> check_state(const StateDict& state) const = 0;
  /// Takes over the state. Called only if check_state() returned no problem.
  virtual void load_state(const StateDict& state) = 0;
};

}  // namespace vg
