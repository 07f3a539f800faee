// Module::summary: a table of one evaluation.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "framework/error.hpp"
#include "framework/memory.hpp"
#include "framework/module.hpp"
#include "framework/op_count.hpp"
#include "framework/run_state.hpp"

namespace vg {

namespace {

struct Row {
  std::string path, kind, output;
  std::int64_t parameters = 0, multiply_adds = 0, bytes = 0;
  bool leaf = true;  // no modules called within
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
  void after(const Module&, const Variable& y) override {
    Row& row = rows[open_.back()];
    row.output = y.shape().str();
    row.bytes = y.value().bytes();
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

struct Names : Visitor {
  void state(std::string_view, State& s) override {
    if (is_a(s.kind(), StateKind::param)) parameters[current] += s.numel();
  }
  void module(std::string_view name, Module& m) override {
    if (path.count(&m)) return;
    const Module* parent = current;
    path[&m] = path[parent].empty() ? std::string(name) : path[parent] + "." + std::string(name);
    current = &m;
    m.visit(*this);
    current = parent;
  }
  std::map<const Module*, std::string> path;
  std::map<const Module*, std::int64_t> parameters;
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

// Of a step on zeros, above what was in use before it.
std::int64_t measured_step(Module& m, const Shape& input) {
  const RunState run(m.states());
  const RunState::Scope without_trace(run);
  const FitScope training(m);
  const EnableGrad on;
  std::vector<Variable> wanted;
  for (const RunState::Leaf& l : run.trained()) wanted.push_back(l.variable);
  const std::int64_t before = memory::stats().in_use;
  memory::reset_peak();
  const Variable y = m(Variable(Tensor::zeros(input, dtype_of_module(m))));
  if (!y.requires_grad()) return 0;
  gradients(y, wanted, Variable(Tensor::ones(y.shape(), y.dtype())), {.allow_unused = true});
  return memory::stats().peak - before;
}

}  // namespace

std::int64_t Module::step_bytes(const Shape& input) {
  std::int64_t kept = 0;
  for (const auto& [path, state] : states()) kept += state.bytes();
  Shape few = input;
  if (few.rank() > 0) few[0] = std::min<std::int64_t>(1, input[0]);
  const std::int64_t one = measured_step(*this, few);
  if (one == 0) return 0;
  if (few == input) return kept + one;
  few[0] = 2;
  const std::int64_t two = measured_step(*this, few);
  return kept + one + (input[0] - 1) * (two - one);
}

std::string Module::summary(const Shape& input) {
  Names names;
  names.path[this] = "";
  names.current = this;
  visit(names);

  Trace trace;
  {
    NoGrad no_grad;
    FitScope evaluation(*this, false);
    Observation observation(*this, trace);
    (*this)(Variable(Tensor::zeros(input, dtype_of_module(*this))));
  }
  std::vector<std::vector<std::string>> cells{{"path", "kind", "output", "parameters", "multiply-adds", "memory"}};
  std::int64_t memory = 0;
  for (std::size_t i = 0; i < trace.rows.size(); ++i) {
    Row& row = trace.rows[i];
    const Module* m = trace.called[i];
    if (row.leaf) memory += row.bytes;
    cells.push_back({m == this ? "(model)" : names.path[m], m->kind(), row.output,
                     fmt::format("{}", names.parameters[m]), fmt::format("{}", row.multiply_adds),
                     human_bytes(row.bytes)});
  }
  const std::int64_t total = parameters().numel();
  const std::int64_t step = total == 0 ? 0 : step_bytes(input);
  return table(cells) +
         fmt::format("total: {} parameters, {} multiply-adds, {} of layer outputs\n", total,
                     trace.rows.empty() ? 0 : trace.rows[0].multiply_adds, human_bytes(memory)) +
         (step == 0 ? ""
                    : fmt::format("a training step: {} at most, without an optimizer's moments\n", human_bytes(step)));
}

}  // namespace vg
