// Module::summary: a table from one evaluation.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/op_count.hpp"
#include "voxgrad/framework/nn/module.hpp"
#include "voxgrad/framework/nn/replay_context.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

struct Row {
  std::string path, kind, output;
  std::int64_t parameters = 0, multiply_adds = 0, bytes = 0;
  bool leaf = true;  // no modules are called within it
};

class Trace : public ModuleObserver {
 public:
  void before(const Module& m) override {
    for (std::size_t open : open_) rows[open].leaf = false;
    rows.push_back({});
    called.push_back(&m);
    open_.push_back(rows.size() - 1);
    starts_.push_back(multiply_adds_counted());
  }
  void after(const Module&, std::span<const Variable> outputs) override {
    Row& row = rows[open_.back()];
    for (const Variable& y : outputs) {
      row.output += (row.output.empty() ? "" : ", ") + y.shape().str();
      row.bytes += y.value().bytes();
    }
    row.multiply_adds = multiply_adds_counted() - starts_.back();
    open_.pop_back();
    starts_.pop_back();
  }
  std::vector<Row> rows;
  std::vector<const Module*> called;

 private:
  std::vector<std::size_t> open_;
  std::vector<std::int64_t> starts_;
};

struct Count {
  std::int64_t all = 0, frozen = 0;
  void add(const State& s) {
    if (!is_a(s.kind(), StateKind::param)) return;
    all += s.numel();
    for (const std::string& leaf : s.leaves())
      if (s.frozen(leaf)) frozen += s[leaf].numel();
  }
  // "4098", "4098 (frozen)", "4098 (2 frozen)"
  std::string str() const {
    if (frozen == 0) return fmt::format("{}", all);
    return frozen == all ? fmt::format("{} (frozen)", all) : fmt::format("{} ({} frozen)", all, frozen);
  }
};

struct NamesAndCounts : Visitor {
  void state(std::string_view, State& s) override { parameters[current].add(s); }
  void module(std::string_view name, Module& m) override {
    if (path.count(&m)) return;
    const Module* parent = current;
    path[&m] = path[parent].empty() ? std::string(name) : path[parent] + "." + std::string(name);
    current = &m;
    m.visit(*this);
    current = parent;
  }
  std::map<const Module*, std::string> path;
  std::map<const Module*, Count> parameters;
  const Module* current = nullptr;
};

std::string human_bytes(std::int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576);
}

std::string table(const std::vector<std::vector<std::string>>& cells) {
  std::vector<std::size_t> width(cells[0].size());
  for (const auto& line : cells)
    for (std::size_t i = 0; i < line.size(); ++i) width[i] = std::max(width[i], line[i].size());
  std::string text;
  for (const auto& line : cells) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i)
      row += i < 3 ? fmt::format("{:<{}}  ", line[i], width[i]) : fmt::format("{:>{}}  ", line[i], width[i]);
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

struct Observation {
  Observation(Module& m, ModuleObserver& o) : module(m) { m.observe(&o); }
  ~Observation() { module.observe(nullptr); }
  Module& module;
};

DType dtype_of_module(Module& m) {
  for (const auto& [path, state] : m.states())
    for (const std::string& leaf : state.leaves())
      if (is_float(state[leaf].dtype())) return state[leaf].dtype();
  return f32;
}

Variables zeros(Module& m, const std::vector<Shape>& shapes) {
  Variables inputs;
  for (const Shape& s : shapes) inputs.emplace_back(Tensor::zeros(s, dtype_of_module(m)));
  return inputs;
}

// Remembers whether modules were ever in training mode, and restores it at the end.
class ModesKept {
 public:
  explicit ModesKept(const States& states) : modes_(states.modes()) {
    for (const auto& m : modes_) before_.push_back(*m.trained);
  }
  ~ModesKept() {
    for (std::size_t i = 0; i < modes_.size(); ++i) *modes_[i].trained = before_[i];
  }
  ModesKept(const ModesKept&) = delete;
  ModesKept& operator=(const ModesKept&) = delete;

 private:
  std::vector<States::ModeOf> modes_;
  std::vector<bool> before_;
};

// The outputs that require a gradient, combined into one Variable.
Variable joined(const Variables& outputs) {
  if (outputs.size() == 1) return outputs[0];
  Variable all;
  for (const Variable& y : outputs)
    if (y.requires_grad()) all = all.defined() ? all + sum(y) : sum(y);
  return all.defined() ? all : outputs.at(0);
}

// The peak memory of a step on zeros, minus the memory in use before it.
std::int64_t measured_step(Module& m, const std::vector<Shape>& inputs) {
  const States states = m.states();
  const ModesKept modes(states);
  const ReplayContext run(states);
  const ReplayContext::Guard without_trace(run);
  const FitGuard training(m);
  const EnableGrad on;
  std::vector<Variable> wanted;
  for (const ReplayContext::Leaf& l : run.trained()) wanted.push_back(l.variable);
  const std::int64_t before = memory::stats().in_use;
  memory::reset_peak();
  const Variable y = joined(m.call(zeros(m, inputs)));
  if (!y.requires_grad()) return 0;
  gradients(y, wanted, Variable(Tensor::ones(y.shape(), y.dtype())), {.allow_unused = true});
  return memory::stats().peak - before;
}

// The same inputs with that many samples.
std::vector<Shape> with_batch_of(std::vector<Shape> inputs, std::int64_t samples) {
  for (Shape& s : inputs)
    if (s.rank() > 0) s[0] = samples;
  return inputs;
}

}  // namespace

std::int64_t Module::step_bytes(const std::vector<Shape>& inputs) const {
  Module& module = detail::visited(*this);
  std::int64_t kept = 0;
  for (const auto& [path, state] : states()) kept += state.bytes();
  const std::int64_t samples = inputs.empty() || inputs[0].rank() == 0 ? 1 : inputs[0][0];
  const std::int64_t one = measured_step(module, with_batch_of(inputs, std::min<std::int64_t>(1, samples)));
  if (one == 0) return 0;
  if (samples <= 1) return kept + one;
  const std::int64_t two = measured_step(module, with_batch_of(inputs, 2));
  return kept + one + (samples - 1) * (two - one);
}

std::string Module::summary(const std::vector<Shape>& inputs) const {
  Module& module = detail::visited(*this);
  NamesAndCounts names;
  names.path[this] = "";
  names.current = this;
  module.visit(names);

  Trace trace;
  {
    NoGradGuard no_grad;
    FitGuard evaluation(module, false);
    Observation observation(module, trace);
    module.call(zeros(module, inputs));
  }
  std::vector<std::vector<std::string>> cells{{"path", "kind", "output", "parameters", "multiply-adds", "memory"}};
  std::int64_t memory = 0;
  for (std::size_t i = 0; i < trace.rows.size(); ++i) {
    Row& row = trace.rows[i];
    const Module* m = trace.called[i];
    if (row.leaf) memory += row.bytes;
    cells.push_back({m == this ? "(model)" : names.path[m], m->kind(), row.output, names.parameters[m].str(),
                     fmt::format("{}", row.multiply_adds), human_bytes(row.bytes)});
  }
  Count total;
  for (const auto& [path, state] : parameters()) total.add(state);
  const std::int64_t step = total.all == total.frozen ? 0 : step_bytes(inputs);
  return table(cells) +
         fmt::format(
             "total: {} parameters{}, {} multiply-adds, {} of layer outputs\n", total.all,
             total.frozen == 0 ? "" : fmt::format(" ({} trainable, {} frozen)", total.all - total.frozen, total.frozen),
             trace.rows.empty() ? 0 : trace.rows[0].multiply_adds, human_bytes(memory)) +
         (step == 0 ? ""
                    : fmt::format("a training step: {} at most, without an optimizer's moments\n", human_bytes(step)));
}

}  // namespace vg
