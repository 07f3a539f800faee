// clone: a second module like the first, with states of its own: a teacher, a target net, an average.
//
//   auto teacher = vg::clone(model);                            // of a Net: a Net
//   std::unique_ptr<vg::Module> copy = vg::clone(*loaded);      // of a vg::Module&: of the type that it has
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <typeinfo>

#include "voxgrad/framework/nn/module.hpp"

namespace vg {

namespace detail {
using Copier = std::unique_ptr<Module> (*)(const Module&);
void register_copier(const std::type_info& type, Copier copier);
/// Gives a copy, which shares its states and held modules with the original, its own.
void make_own(Module& copy, const Module& original);
[[noreturn]] void throw_sliced(const Module& module);
}  // namespace detail

/// A deep copy: values, modes, what is frozen and random streams are the original's, in memory of their own; gradients
/// and observers are not copied. What shares a state or a module in the original shares it in the copy. Members are
/// copied by the type's copy constructor; modules held by std::shared_ptr, as in a Sequential, by that of a type that
/// was registered (register_clone), else they are made from their description, as by load_model: this library's layers,
/// and registered modules. Throws ValueError, naming the path, for a module of which neither is possible, and for one
/// of the original that the copy would refer to (by a raw pointer or reference).
std::unique_ptr<Module> clone(const Module& module);
/// Tells how a module of your own is copied where its type is not seen: in a Sequential, by std::shared_ptr, as a
/// vg::Module&. For the whole process, from any thread, and as often as you like.
template <std::derived_from<Module> M>
void register_clone() {
  static_assert(std::is_copy_constructible_v<M>, "vg::clone copies members: this module has one that cannot be copied");
  detail::register_copier(typeid(M), [](const Module& m) -> std::unique_ptr<Module> {
    return std::make_unique<M>(dynamic_cast<const M&>(m));
  });
}
/// By value for a type that is not abstract. Throws TypeError where `module` is of a type derived from M.
template <std::derived_from<Module> M>
requires(!std::is_abstract_v<M>) M clone(const M& module) {
  static_assert(std::is_copy_constructible_v<M>, "vg::clone copies members: this module has one that cannot be copied");
  if (typeid(module) != typeid(M)) detail::throw_sliced(module);
  M copy = [&] {
    const detail::CopyingModules allowed;
    return M(module);
  }();
  detail::make_own(copy, module);
  return copy;
}

}  // namespace vg
