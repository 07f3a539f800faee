// What the layers share: a name, checks of the input against in_size, and the batch axis that an input may lack.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "voxgrad/framework/nn/module.hpp"
#include "voxgrad/layers/conv/geometry.hpp"

namespace vg {

class Layer : public Module {
 public:
  /// The name given in the options, "" for none.
  const std::string& name() const { return name_; }

 protected:
  Layer() = default;
  explicit Layer(std::string name) : name_(std::move(name)) {}

  /// What messages begin with: "Conv3d", or "Conv3d encoder" for a layer of that name.
  std::string where() const { return name_.empty() ? kind() : kind() + " " + name_; }
  bool built() const { return !in_size().empty(); }
  /// Throws ValueError for a layer that was made without in_size and not built.
  void require_built() const;
  /// For a layer that takes samples of in_size: whether x has a batch axis before it. Throws ValueError for any other
  /// shape.
  bool has_batch(const Variable& x) const;
  /// The same for a layer over volumes that may be used without being built: then by x's rank, 5 or 4.
  bool is_batch_of_volumes(const Variable& x) const;
  /// Throws ValueError unless the last axes of x are in_size, whatever stands before them.
  void require_trailing(const Variable& x) const;
  /// Throws ValueError for a size of other extents than the one this layer was built for (Module::build).
  void require_same(const Size& size) { Module::build(size); }

 private:
  std::string name_;
};

namespace detail {
/// Whether x's extents from axis `first` on are `size`; vg::dynamic fits every extent.
bool fits(const Shape& x, std::size_t first, const Size& size);
/// For options(): one list of them after the other, and extents as they are kept.
Attributes with(Attributes values, Attributes more);
std::vector<std::int64_t> list(const Triple& extents);
/// x with a batch axis of 1 in front, and back.
Variable with_batch(const Variable& x);
Variable without_batch(const Variable& x);
}  // namespace detail

}  // namespace vg
