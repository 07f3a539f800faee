// Linear: brainstate.nn.Linear in C++.
#pragma once

#include "voxgrad/layers/init/init.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

struct LinearOptions {
  Size in_size{};                 ///< (..., features); all extents except the features may be vg::dynamic
  std::int64_t out_features = 0;  ///< required
  Initializer w_init = init::KaimingNormal();
  Initializer b_init = init::ZeroInit();  ///< None: no bias
  Initializer w_mask = std::nullopt;      ///< multiplied into the weight in every call
  std::string name{};

  void fields(Fields& f);
};

/// x @ w + b over the last axis: (..., features) -> (..., out_features). The weight is (features, out_features), the
/// bias (out_features,).
class Linear : public LayerWith<LinearOptions> {
 public:
  explicit Linear(LinearOptions options);
  /// Makes a layer with this out_features; in_size follows from the layer before.
  explicit Linear(Integer auto out_features)
      : Linear(LinearOptions{.out_features = static_cast<std::int64_t>(out_features)}) {}
  ParamState weight;  ///< leaf "weight", and "bias" unless b_init is None

  Variable update(Variable x) override;
  void visit(Visitor& v) override { v("weight", weight); }
  void build(const Size& in_size) override;
  std::string kind() const override { return "Linear"; }

 private:
  Tensor mask_;
};

}  // namespace vg
