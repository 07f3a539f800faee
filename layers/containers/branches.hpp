// Branches applies several modules to the same input, for skip connections and residuals within a Sequential.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <vector>

#include "voxgrad/layers/layer.hpp"

namespace vg {

struct BranchesOptions {
  std::string join = "add";  ///< or "concat": concatenate along the channels, in order
  std::string name{};

  void fields(Fields& f);
};

///   vg::Branches({.join = "concat"}, vg::Identity(), inner)   // a U-Net's skip connection: x beside inner(x)
///   vg::Branches({}, block, vg::Identity())                   // a residual: block(x) + x
///
/// The outputs of the modules, added or concatenated. All must have the same shape, except that the channels may differ
/// for a concatenation; otherwise build() or the call throws ValueError. Children are named branches.0, branches.1, ...
class Branches : public LayerWith<BranchesOptions> {
 public:
  /// Throws ValueError for any other join.
  explicit Branches(BranchesOptions options = {});
  /// Moves the modules in, or shares those that are passed as std::shared_ptr.
  template <class... Ms>
  requires(sizeof...(Ms) > 0 &&
           ((std::derived_from<Ms, Module> || std::convertible_to<Ms, std::shared_ptr<Module>>)&&...))
      Branches(BranchesOptions options, Ms... modules)
      : Branches(std::move(options)) {
    (push_back(std::move(modules)), ...);
  }

  template <std::derived_from<Module> M>
  void push_back(M module) {
    push_back(std::make_shared<M>(std::move(module)));
  }
  /// Throws ValueError for nullptr and for sizes that do not fit.
  void push_back(std::shared_ptr<Module> module);
  std::size_t size() const { return branches_.size(); }

  Variable update(Variable x) override;
  void visit(Visitor& v) override { v("branches", branches_); }
  void build(const Size& in_size) override;
  std::string kind() const override { return "Branches"; }

 private:
  Size joined(const std::vector<std::shared_ptr<Module>>& branches) const;
  void require_some(const char* what) const;

  bool concatenates() const { return options_.join == "concat"; }

  std::vector<std::shared_ptr<Module>> branches_;
};

}  // namespace vg
