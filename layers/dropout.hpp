// Dropout, as in brainstate: `keep_prob` is the probability to keep.
#pragma once

#include <optional>

#include "voxgrad/layers/layer.hpp"

namespace vg {

struct DropoutOptions {
  double keep_prob = 0.5;                    ///< to keep an element, or a channel; in (0, 1]
  std::optional<std::uint64_t> seed{};  ///< given: a RandomState of its own, saved with the model
  std::string name{};
};

/// What the dropouts share. Each call in training takes one key from its own RandomState if it has a seed, else from
/// random::default_generator(); evaluation, or keep_prob = 1, gives x itself.
class DropoutLayer : public Layer {
 public:
  std::optional<RandomState> random;  ///< leaf "key"; only with a seed

  Variable update(const Variable& x) override;
  void visit(Visitor& v) override;
  Attributes options() const override;
  bool has_training_mode() const override { return keep_prob_ != 1; }

 protected:
  explicit DropoutLayer(std::string name) : Layer(std::move(name)) {}
  /// For a constructor's end, when kind() can be called.
  void start(const DropoutOptions& options);
  virtual Variable drop(const Variable& x, double keep_prob, const random::Key& key) const = 0;

 private:
  double keep_prob_ = 1;
};

/// Each element is kept with probability keep_prob, times 1 / keep_prob, else 0.
class Dropout : public DropoutLayer {
 public:
  explicit Dropout(DropoutOptions o = {}) : DropoutLayer(o.name) { start(o); }
  std::string kind() const override { return "Dropout"; }

 protected:
  Variable drop(const Variable& x, double keep_prob, const random::Key& key) const override;
};

/// Each channel of each sample of x (B, H, W, D, C), or (H, W, D, C), is kept whole with probability keep_prob, times 1 /
/// keep_prob, else 0: torch.nn.Dropout3d, brainstate.nn.Dropout3d. Any other rank is a ValueError.
class SpatialDropout3d : public DropoutLayer {
 public:
  explicit SpatialDropout3d(DropoutOptions o = {}) : DropoutLayer(o.name) { start(o); }
  std::string kind() const override { return "SpatialDropout3d"; }

 protected:
  Variable drop(const Variable& x, double keep_prob, const random::Key& key) const override;
};

}  // namespace vg
