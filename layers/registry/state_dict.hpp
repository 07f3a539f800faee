// state_dict: a module's tensors by name, for safetensors and npz files, PyTorch and other modules, and the way back.
//
//   vg::write_safetensors("net.safetensors", vg::state_dict(net, vg::torch_layout));  // torch loads it, strict=True
//   vg::load_state_dict(net, vg::read_safetensors("net.safetensors").tensors, vg::torch_layout);
//   vg::load_state_dict(teacher, vg::state_dict(student));
#pragma once

#include <cstdint>

#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/formats/named_tensors.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// The names of the tensors and the order of their axes.
enum class StateLayout : std::uint8_t {
  voxgrad,  ///< path of the state + "." + leaf ("layers.0.weight.bias"); the layers' own axes
  torch     ///< as in the state_dict of the same net in PyTorch, see torch_layout
};
inline constexpr StateLayout voxgrad_layout = StateLayout::voxgrad;
/// PyTorch's names and axes. docs/layers.md has the whole table.
/// - A Sequential's modules are "0", "1", ...; other modules keep the names that visit() gives them.
/// - The kernels of Conv3d (kh, kw, kd, in / groups, out) become (out, in / groups, kh, kw, kd), those of
///   ConvTranspose3d (in, out / groups, kh, kw, kd), and the weights of Linear (out, in). The spatial axes keep their
///   order, so a volume (B, H, W, D, C) is torch's (B, C, H, W, D).
/// - Biases and the tensors of normalisations have one axis. A normalisation's "scale" and a PReLU's "slope" become
///   "weight".
/// - BatchNorm3d also has "num_batches_tracked", which is written as 0 and ignored when loaded.
/// - The first Linear after a Flatten of whole volumes has its inputs in the order (C, H, W, D). This is recognised
///   within nested Sequentials; elsewhere a Flatten that a layer with parameters may follow throws ValueError.
/// - Random states are left out. A state with several paths is written under each.
inline constexpr StateLayout torch_layout = StateLayout::torch;

/// All tensors of the module, in the order of visit(). Tensors whose axes do not move may share memory with the module,
/// so clone() one before you write to it. Throws ValueError naming the module if PyTorch's layout cannot hold it: a
/// layer with a w_mask, a bias that is not one value per channel, two tensors of the same name.
NamedTensors state_dict(const Module& model, StateLayout layout = voxgrad_layout);

/// Copies the tensors into the module. Unless `options` are not strict, the names must be the module's, and shapes and
/// dtypes those of state_dict(model, layout). `rename`, `rename_with` and `prefix` apply to names of that layout. A
/// state with several paths needs only one of them; if there are several, their values must be equal. Throws ValueError
/// with a list of everything that does not fit; then nothing has changed. Gradients of loaded parameters are dropped.
LoadReport load_state_dict(Module& model, const NamedTensors& tensors, StateLayout layout = voxgrad_layout,
                           const LoadOptions& options = {});

}  // namespace vg
