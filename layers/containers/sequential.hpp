// Sequential applies modules one after another. Each takes its in_size from the module before.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <vector>

#include "voxgrad/layers/layer.hpp"

namespace vg {

///   vg::Sequential net(vg::Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}), vg::ReLU(),
///                      vg::Flatten(), vg::Linear({.out_features = 2}));
///
/// The first layer with an in_size starts the chain: each layer after it is built (Module::build) with the out_size of
/// the previous one. If no layer has one, call build(in_size). Your own modules must override build() if they change
/// the shape. Children are named layers.0, layers.1, ... A Sequential without modules can be made, saved and filled
/// later with push_back, but building or calling it throws ValueError (PyTorch's returns its input).
class Sequential : public Layer {
 public:
  Sequential() = default;
  /// Moves the modules in, or shares those that are passed as std::shared_ptr. Throws ValueError if sizes do not fit.
  template <class... Ms>
  requires(sizeof...(Ms) > 0 &&
           ((std::derived_from<Ms, Module> ||
             std::convertible_to<Ms, std::shared_ptr<Module>>)&&...)) explicit Sequential(Ms... modules) {
    (push_back(std::move(modules)), ...);
  }

  template <std::derived_from<Module> M>
  void push_back(M module) {
    push_back(std::make_shared<M>(std::move(module)));
  }
  /// Throws ValueError for nullptr and for sizes that do not fit; the Sequential is then unchanged.
  void push_back(std::shared_ptr<Module> module);

  std::size_t size() const { return layers_.size(); }
  /// Throws ValueError if there is no module i.
  Module& operator[](std::size_t i) const { return *at(i); }
  const std::shared_ptr<Module>& at(std::size_t i) const;
  /// Module i as its own type M. Throws TypeError if it is not an M.
  template <class M>
  M& get(std::size_t i) const {
    if (auto* module = dynamic_cast<M*>(at(i).get())) return *module;
    throw_other_type(i);
  }

  Variable update(Variable x) override;
  void visit(Visitor& v) override { v("layers", layers_); }
  void build(const Size& in_size) override;
  std::string kind() const override { return "Sequential"; }

 private:
  [[noreturn]] void throw_other_type(std::size_t i) const;
  std::vector<std::shared_ptr<Module>> layers_;
};

}  // namespace vg
