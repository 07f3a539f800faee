// Small modules and parts for the tests of checkpoints.
#pragma once

#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "voxgrad/framework/checkpoint/checkpoint.hpp"

namespace vg::test {

inline std::string bytes_of(const vg::Tensor& t) {
  std::string bytes(static_cast<std::size_t>(t.bytes()), '\0');
  if (t.numel() != 0) std::memcpy(bytes.data(), t.raw(), bytes.size());
  return bytes;
}

template <class T>
vg::Tensor of_bits(const std::vector<std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>& bits) {
  vg::Tensor t({static_cast<std::int64_t>(bits.size())}, vg::dtype_of<T>());
  std::memcpy(t.raw(), bits.data(), bits.size() * sizeof(T));
  return t;
}

// One layer with a state of each kind; tests vary `options_` and the sizes.
struct Layer : vg::Module {
  vg::ParamState weight;
  vg::BatchState stats;
  vg::RandomState stream{11};
  vg::Attributes options_{{"size", 3}, {"rate", 0.5}};
  std::string kind_ = "Layer";

  Layer(std::int64_t size, float fill) {
    weight.add("weight", vg::Tensor::full({2, size}, fill));
    weight.add("bias", vg::Tensor::full({size}, fill / 3, vg::f64));
    stats.add("mean", vg::Tensor::full({}, fill));
  }
  vg::Variable update(vg::Variable x) override { return x; }
  void visit(vg::Visitor& v) override {
    v("weight", weight);
    v("stats", stats);
    v("stream", stream);
  }
  std::string kind() const override { return kind_; }
  vg::Attributes options() const override { return options_; }
};

struct Net : vg::Module {
  Layer a, b;
  explicit Net(float fill = 1, std::int64_t size = 3) : a(size, fill), b(size, -fill) {}
  vg::Variable update(vg::Variable x) override { return x; }
  void visit(vg::Visitor& v) override {
    v("a", a);
    v("b", b);
  }
  std::string kind() const override { return "Net"; }
};

// A module with one tensor.
struct Holder : vg::Module {
  vg::BatchState state;
  explicit Holder(const vg::Tensor& t) { state.add("value", t); }
  vg::Variable update(vg::Variable x) override { return x; }
  void visit(vg::Visitor& v) override { v("state", state); }
  std::string kind() const override { return "Holder"; }
};

/// The bytes of every leaf by path.
inline std::map<std::string, std::string> bits(vg::Module& model) {
  std::map<std::string, std::string> found;
  for (const auto& [path, state] : model.states())
    for (const std::string& leaf : state.leaves()) found[path + "/" + leaf] = bytes_of(state[leaf].value());
  return found;
}

struct Part : vg::Stateful {
  std::int64_t step = 0;
  vg::Tensor momentum = vg::Tensor::zeros({3});
  bool throws = false;

  vg::StateDict save_state() const override {
    vg::StateDict b{{{"step", step}, {"betas", std::vector<double>{0.9, 0.999}}}, {{"momentum", momentum}}, {}};
    b.parts.emplace_back("a.weight", vg::StateDict{{}, {{"v", momentum}}, {}});
    return b;
  }
  std::vector<std::string> check_state(const vg::StateDict& state) const override {
    if (state.get<std::int64_t>("step") < 0) return {"step: got a negative one", "so nothing fits"};
    return {};
  }
  void load_state(const vg::StateDict& state) override {
    step = state.get<std::int64_t>("step");
    if (throws) throw std::runtime_error("the part gave up");
    momentum = state.part("a.weight").tensor("v");
  }
};

/// The message of the exception, with its type in front.
template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const vg::IoError& e) {
    return std::string("IoError ") + e.what();
  } catch (const vg::ValueError& e) {
    return std::string("ValueError ") + e.what();
  }
  return "nothing was thrown";
}

}  // namespace vg::test
