// The names and axes of a module's tensors in each layout, shared by state_dict and load_state_dict.
#pragma once

#include <string>
#include <vector>

#include "voxgrad/layers/registry/state_dict.hpp"

namespace vg::detail {

/// The conversion of a tensor's axes to another layout: reshape to `split`, transpose by `order`, reshape to `there`.
/// If `order` is empty, no axis moves.
struct AxisMap {
  Shape here, split;
  std::vector<int> order;
  Shape there;

  /// forward() converts from the layer's axes to the layout's; back() reverts it. The result may share the tensor's
  /// memory.
  Tensor forward(const Tensor& t) const;
  Tensor back(const Tensor& t) const;
};

/// One tensor of a module with its name in the layout.
struct NamedLeaf {
  std::string name;
  State state;
  std::string leaf;
  AxisMap axes;
};

struct LayoutNames {
  std::vector<NamedLeaf> leaves;      ///< in visit() order; PyTorch's layout lists a shared state under each path
  std::vector<std::string> counters;  ///< PyTorch's "num_batches_tracked", which no state of this library holds
};

/// Throws ValueError for a module that the layout cannot hold and for two tensors of the same name.
LayoutNames layout_names(const Module& model, StateLayout layout);

}  // namespace vg::detail
