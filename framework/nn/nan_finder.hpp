// NanFinder: reports which op, of which layer, in which step produced the first NaN or infinity.
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

/// While it lives, every op's result in this thread and every gradient is checked. The first value that is not finite
/// is a NonFiniteError, thrown by the op or by backward(), that names the op, the layer's path and the step. If no op
/// made the value, the error names the parameter or the input. In each step the checks take about as long as reading
/// each result once. The model must not be moved. Its other observers (Module::observe) are not notified meanwhile.
/// Without a finder an op pays one branch.
class NanFinder : private OpObserver, private ModuleObserver {
 public:
  explicit NanFinder(Module& model, NanFinderOptions options = {});
  ~NanFinder() override;
  NanFinder(const NanFinder&) = delete;
  NanFinder& operator=(const NanFinder&) = delete;

  /// Sets the step that messages name and forgets where the ops of earlier steps were called, so call it in each step.
  void step(std::int64_t step);

 private:
  using Place = const Module*;  // the module whose call an op belongs to, or nullptr
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
  std::unordered_map<std::uint64_t, Place> made_;              // by node, for the reverse pass
  std::vector<std::pair<Module*, ModuleObserver*>> observed_;  // with their previous observers
  OpObserver* observer_before_;
};

}  // namespace vg
