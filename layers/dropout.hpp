// Dropout, as in brainstate: `prob` is the probability to keep.
#pragma once

#include <optional>

#include "layers/layer.hpp"

namespace vg {

struct DropoutOptions {
  double prob = 0.5;                    ///< to keep an element; in (0, 1]
  std::optional<std::uint64_t> seed{};  ///< given: a RandomState of its own, saved with the model
  std::string name{};
};

/// Training: each element is kept with probability prob, times 1 / prob, else 0. Evaluation, or prob = 1: x itself.
/// Each call takes one key from its own RandomState if it has a seed, else from random::default_generator().
class Dropout : public Layer {
 public:
  explicit Dropout(DropoutOptions options = {});
  std::optional<RandomState> random;  ///< leaf "key"; only with a seed

  Variable update(const Variable& x) override;
  void visit(Visitor& v) override;
  std::string kind() const override { return "Dropout"; }
  Values options() const override;

 private:
  double prob_;
};

}  // namespace vg
