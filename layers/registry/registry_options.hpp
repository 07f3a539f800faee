// The options of a description, converted to the arguments of layers.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/autocast.hpp"
#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/module.hpp"
#include "voxgrad/layers/conv/geometry.hpp"
#include "voxgrad/layers/init/init.hpp"

namespace vg::registry {

/// Each function throws ValueError, naming the kind and the option, if the option is missing or of another type.
class Options {
 public:
  explicit Options(const ModuleConfig& d) : description_(d) {}

  bool has(std::string_view name) const { return find(name) != nullptr; }
  bool flag(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  int axis(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<std::int64_t>& integers(std::string_view name) const;
  const std::vector<double>& reals(std::string_view name) const;
  TripleArg extent(std::string_view name) const { return integers(name); }
  Padding padding() const;
  Compute compute() const;
  std::vector<int> axes(std::string_view name) const;

  /// An initializer of zeros with the option's name, or none for "None". The zeros count against the LimitGuard.
  Initializer blank(std::string_view name) const;
  /// The mask of a layer with its original name, from "w_mask_shape" and "w_mask_values".
  Initializer mask() const;

 private:
  const Value* find(std::string_view name) const;
  template <class T>
  const T& get(std::string_view name, std::string_view type) const;
  int checked_axis(std::string_view name, std::int64_t axis) const;

  const ModuleConfig& description_;
};

/// While it lives, the modules that this thread's make_module() makes may have at most `values` parameter values in
/// total (and 2^18 more).
class LimitGuard {
 public:
  explicit LimitGuard(std::int64_t values);
  ~LimitGuard();
  LimitGuard(const LimitGuard&) = delete;
  LimitGuard& operator=(const LimitGuard&) = delete;

 private:
  std::int64_t limit_before_, taken_before_;
};
/// Throws ValueError unless the limit allows `values` more values.
void check_limit(const std::string& kind, std::int64_t values);
/// Throws likewise, and counts the values. Call it before memory is allocated for them.
void take_from_limit(const std::string& kind, std::int64_t values);

/// The maker of a layer of this library by kind; nullptr for any other kind.
using Maker = std::unique_ptr<Module> (*)(const ModuleConfig&);
Maker find_layer(std::string_view kind);
std::vector<std::string> layer_kinds();

}  // namespace vg::registry
