// The data that a run of a module depends on beside its input and its parameters, so that the run can be repeated with
// the same result and without changing any state. Internal.
#pragma once

#include <string>
#include <vector>

#include "voxgrad/framework/autograd/autocast.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/nn/state.hpp"

namespace vg {

class ReplayContext {
 public:
  struct Leaf {
    std::string path, name;
    State state;
    Variable variable;
  };
  explicit ReplayContext(const States& states);

  /// The leaves that require gradients, as they were.
  const std::vector<Leaf>& trained() const { return trained_; }

  /// Sets the other leaves, the default generator and autocast() as recorded; the destructor restores the present ones.
  class Guard {
   public:
    explicit Guard(const ReplayContext& run);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    const ReplayContext& run_;
    std::vector<Tensor> now_;
    random::Generator generator_;
    random::GeneratorGuard generator_scope_;
    AutocastGuard compute_;
  };

 private:
  std::vector<Leaf> trained_, kept_;
  random::Key key_;
  Compute compute_;
};

}  // namespace vg
