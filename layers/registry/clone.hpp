// clone: a copy of a module with its own states, for example a teacher, a target net or an average.
//
//   auto teacher = vg::clone(model);                            // of a Net: a Net
//   std::unique_ptr<vg::Module> copy = vg::clone(*loaded);      // of a vg::Module&: of its dynamic type
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
/// Replaces the states and held modules that a fresh copy shares with the original by its own.
void make_own(Module& copy, const Module& original);
[[noreturn]] void throw_sliced(const Module& module);
}  // namespace detail

/// Makes a deep copy. Values, modes, frozen flags and random streams are copied; gradients and observers are not.
/// States and modules that are shared in the original are shared in the copy. Members are copied by the type's copy
/// constructor. Modules held by std::shared_ptr, as in a Sequential, are copied by their type's copy constructor if it
/// was registered (register_clone); otherwise they are made from their description, as by load_model, which works for
/// this library's layers and registered modules. Throws ValueError with the path for a module for which neither is
/// possible, and for a module of the original to which the copy would refer (by a raw pointer or reference).
std::unique_ptr<Module> clone(const Module& module);
/// Registers the copying of your own module type for places where the static type is not known: in a Sequential, by
/// std::shared_ptr, as a vg::Module&. It applies to the whole process and may be called repeatedly, from any thread.
template <std::derived_from<Module> M>
void register_clone() {
  static_assert(std::is_copy_constructible_v<M>, "vg::clone copies members: this module has one that cannot be copied");
  detail::register_copier(typeid(M), [](const Module& m) -> std::unique_ptr<Module> {
    return std::make_unique<M>(dynamic_cast<const M&>(m));
  });
}
/// Returns the copy by value, for a type that is not abstract. Throws TypeError if `module` is of a type derived from
/// M.
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
