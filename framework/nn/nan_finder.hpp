// NanFinder: which op, of which layer, in which step made the first NaN or infinity.
//
//   vg::NanFinder finder(model);
//   for (std::int64_t step = 1; step <= steps; ++step) {
//     finder.step(step);
//     loss = vg::cross_entropy(model(batch.x), batch.y);
//     loss.backward();  // throws: [NanFinder] step 7: op log in layers.2 (Log) made nan at (0, 3) of f32 (2, 4)
//   }
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "voxgrad/framework/autograd/op_observer.hpp"
#include "voxgrad/framework/base/finite.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg {

struct NanFinderOptions {
  /// Whether an infinity counts. Turn it off for a model that computes with infinities (masks).
  bool infinities = true;
};

/// While it lives, every op of this thread and every gradient is looked through, and the first that is not finite is a
/// NonFiniteError out of the op, or of backward(), that names the op, the layer's path and the step; for a value that
/// no op made, a parameter or an input, that one. A step takes about as much longer as reading each result once. The
/// model must stay where it is; who observes it otherwise (Module::observe) is told nothing meanwhile. Outside of such
/// a scope an op pays one branch.
class NanFinder : private OpObserver, private ModuleObserver {
 public:
  explicit NanFinder(Module& model, NanFinderOptions options = {});
  ~NanFinder() override;
  NanFinder(const NanFinder&) = delete;
  NanFinder& operator=(const NanFinder&) = delete;

  /// Which step messages name from now on. Forgets where the ops of earlier steps were called, so call it at each.
  void step(std::int64_t step);

 private:
  using Place = const Module*;  // whose call an op belongs to; nullptr: none
  struct Pulling {
    std::string_view op;
    Place place;
  };

  void on_output(std::string_view op, const Tensor& value, const std::vector<Variable>& inputs,
                 std::uint64_t node) override;
  void on_gradient(const Variable& of, std::uint64_t node, const Variable& grad) override;
  void begin_vjp(std::string_view op, std::uint64_t node) override;
  void on_vjp_result(const Grads& grads) override;
  void end_vjp() noexcept override;
  void before(const Module& module) override;
  void after(const Module& module, std::span<const Variable> outputs) override;
  void failed(const Module& module) noexcept override;

  Place here() const;
  std::string in(Place place) const;
  std::string leaf_name(const Variable& v) const;
  void check_inputs(std::string_view op, const std::vector<Variable>& inputs) const;
  [[noreturn]] void found(std::string_view op, Place place, bool in_gradient, const std::string& what) const;

  Module& model_;
  NanFinderOptions options_;
  std::int64_t step_ = 0;
  std::map<Place, std::string> names_;                         // "layers.2 (Log)"
  std::map<Place, std::string> paths_;                         // "layers.2"
  std::vector<Place> calls_;                                   // modules being called
  std::vector<Pulling> pulls_;                                 // vjps being computed
  std::unordered_map<std::uint64_t, Place> made_;              // by node, for the way back
  std::vector<std::pair<Module*, ModuleObserver*>> observed_;  // and by whom before
  OpObserver* observer_before_;
};

}  // namespace vg
