// PReLU: an activation with parameters, as in PyTorch.
#pragma once

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

struct PReLUOptions {
  bool per_channel = false;  ///< one slope per channel, which needs in_size (or Sequential); otherwise a single slope
  double initial = 0.25;     ///< the initial value of every slope
  Size in_size{};            ///< any rank; the last extent is the channels
  std::string name{};

  void fields(Fields& f);
};

/// x, or slope * x where x is not positive. The slopes are learned. Any number of axes may precede in_size.
class PReLU : public LayerWith<PReLUOptions> {
 public:
  explicit PReLU(PReLUOptions options = {});
  ParamState weight;  ///< leaf "slope", (1,) or (C,)

  Variable update(Variable x) override;
  void visit(Visitor& v) override { v("weight", weight); }
  void build(const Size& in_size) override;
  std::string kind() const override { return "PReLU"; }
};

}  // namespace vg
