// The common bases of the layers: a name, checks of the input against in_size, and an optional batch axis.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/module.hpp"
#include "voxgrad/layers/conv/geometry.hpp"

namespace vg {

class Layer : public Module {
 public:
  /// The name given in the options; "" if there is none.
  const std::string& name() const { return name_; }

 protected:
  Layer() = default;
  explicit Layer(std::string name) : name_(std::move(name)) {}

  /// The beginning of messages: "Conv3d", or "Conv3d encoder" for a layer with the name "encoder".
  std::string where() const { return name_.empty() ? kind() : kind() + " " + name_; }
  bool built() const { return !in_size().empty(); }
  /// Throws ValueError for a layer that has neither in_size nor been built.
  void require_built() const;
  /// For a layer whose samples have in_size: whether x has a batch axis before it. Throws ValueError for any other
  /// shape.
  bool has_batch(const Variable& x) const;
  /// The same for a layer over volumes. If it is not built, the rank of x decides: 5 or 4.
  bool is_batch_of_volumes(const Variable& x) const;
  /// Throws ValueError unless the last axes of x are in_size; any axes may come before them.
  void require_trailing(const Variable& x) const;
  /// Throws ValueError for a size that differs from the one that this layer was built for (Module::build).
  void require_same(const Size& size) { Module::build(size); }

 private:
  std::string name_;
};

/// A layer with options: it keeps the aggregate, whose list of members (framework/nn/fields.hpp) checks and stores it.
/// A layer `class ELU : public LayerWith<ELUOptions>` calls start() at the end of its constructor.
template <class O, class Base = Layer>
class LayerWith : public Base {
 public:
  using Options = O;
  Attributes options() const override {
    O now = options_;
    if constexpr (has_in_size) now.in_size = this->in_size();
    return saved_fields(std::move(now));
  }

 protected:
  explicit LayerWith(O options) : Base(name_in(options)), options_(std::move(options)) {}
  /// Checks the options, then builds the layer if they have an in_size. Called when kind() is the layer's.
  void start() {
    check_fields(this->where(), options_);
    if constexpr (has_in_size)
      if (!options_.in_size.empty()) this->build(options_.in_size);
  }

  O options_;

 private:
  static constexpr bool has_in_size = requires(O o) { o.in_size; };
  static std::string name_in(const O& options) {
    if constexpr (requires { options.name; })
      return options.name;
    else
      return {};
  }
};

namespace detail {
/// Whether x's extents from axis `first` on are `size`; vg::dynamic fits any extent.
bool fits(const Shape& x, std::size_t first, const Size& size);
/// with_batch adds a batch axis of extent 1 in front of x; without_batch removes it.
Variable with_batch(const Variable& x);
Variable without_batch(const Variable& x);
}  // namespace detail

}  // namespace vg
