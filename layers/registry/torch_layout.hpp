// The names and axes of a module's tensors in each layout: what state_dict and load_state_dict share.
#pragma once

#include <string>
#include <vector>

#include "voxgrad/layers/registry/state_dict.hpp"

namespace vg::detail {

/// How a tensor's axes become another layout's: reshaped to `split`, transposed by `order`, reshaped to `there`.
/// An empty `order`: no axis moves.
struct AxisMap {
  Shape here, split;
  std::vector<int> order;
  Shape there;

  /// From the layer's axes to the layout's, and back. The result may share the tensor's memory.
  Tensor forward(const Tensor& t) const;
  Tensor back(const Tensor& t) const;
};

/// One tensor of a module by its name in the layout.
struct NamedLeaf {
  std::string name;
  State state;
  std::string leaf;
  AxisMap axes;
};

struct LayoutNames {
  std::vector<NamedLeaf> leaves;      ///< in the order of visit(); in PyTorch's layout a shared state under each path
  std::vector<std::string> counters;  ///< PyTorch's "num_batches_tracked", which no state here holds
};

/// Throws ValueError for a module that the layout cannot hold and for two tensors of one name.
LayoutNames layout_names(const Module& model, StateLayout layout);

}  // namespace vg::detail
