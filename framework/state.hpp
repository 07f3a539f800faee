// State: a named, ordered set of tensors ("leaves") with a kind, after brainstate's State. A State is a handle: copies
// are the same state, so weights are tied by copying it. Leaves are Variables; those of a ParamState require a
// gradient.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/random.hpp"
#include "framework/variable.hpp"

namespace vg {

/// State <- {short_term <- hidden, long_term <- {param, batch}}, random.
enum class StateKind : std::uint8_t { state, short_term, hidden, long_term, param, batch, random };
std::string_view name_of(StateKind kind);
/// Whether `kind` is `ancestor` or stands below it in the tree above.
bool is_a(StateKind kind, StateKind ancestor);

class State {
 public:
  explicit State(StateKind kind = StateKind::state, std::string tag = {});

  StateKind kind() const;
  const std::string& tag() const;
  std::vector<std::string> leaves() const;
  std::size_t size() const;
  bool has(std::string_view leaf) const;
  /// Throws ValueError that lists the leaves there are.
  const Variable& operator[](std::string_view leaf) const;
  /// A new leaf. Throws ValueError for a name there is already or an undefined tensor.
  void add(std::string_view leaf, const Tensor& value);
  /// A new value of the same shape and dtype (else ValueError); a graph recorded before keeps the old value.
  void set(std::string_view leaf, const Tensor& value);
  /// The escape: any shape and dtype.
  void replace(std::string_view leaf, const Tensor& value);
  /// The leaf's tensor for changing it in place, copied first if a graph or another tensor still refers to the old
  /// value. To be written to before the state is read again: a lazy value may read it later.
  Tensor& writable(std::string_view leaf);
  /// Exchanges the leaf, gradient included, for `other` of the same shape and dtype (else ValueError); allocates
  /// nothing, so what was there can always be put back.
  void exchange(std::string_view leaf, Variable& other);
  void set_grad(std::string_view leaf, const Variable& grad);
  void zero_grad();
  /// Converts floating leaves; i32 leaves stay.
  void to(DType dtype);
  std::int64_t numel() const;
  std::int64_t bytes() const;

  const void* identity() const { return data_.get(); }
  friend bool same(const State& a, const State& b) { return a.data_ == b.data_; }

 private:
  struct Data;
  Variable& leaf(std::string_view name) const;
  Variable make_leaf(const Tensor& value) const;
  std::shared_ptr<Data> data_;
};

/// Trained: its leaves require gradients.
struct ParamState : State {
  explicit ParamState(std::string tag = {}) : State(StateKind::param, std::move(tag)) {}
};
/// Kept in checkpoints, not trained: running statistics.
struct BatchState : State {
  explicit BatchState(std::string tag = {}) : State(StateKind::batch, std::move(tag)) {}
};
struct LongTermState : State {
  explicit LongTermState(std::string tag = {}) : State(StateKind::long_term, std::move(tag)) {}
};
struct ShortTermState : State {
  explicit ShortTermState(std::string tag = {}) : State(StateKind::short_term, std::move(tag)) {}
};
struct HiddenState : State {
  explicit HiddenState(std::string tag = {}) : State(StateKind::hidden, std::move(tag)) {}
};
/// A random stream that is saved with the model: leaf "key", i32 (2,), the bits of a Threefry key.
struct RandomState : State {
  explicit RandomState(std::uint64_t seed);
  explicit RandomState(const random::Key& key);
  random::Key key() const;
  random::Key next();
};

/// States by dotted path ("layers.0.weight"), in the order of the walk.
class States {
 public:
  using Entry = std::pair<std::string, State>;
  using Filter = std::function<bool(const std::string& path, const State& state)>;

  States() = default;
  void insert(std::string path, State state) { entries_.emplace_back(std::move(path), std::move(state)); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  bool has(std::string_view path) const;
  /// Throws ValueError naming the path.
  const State& at(std::string_view path) const;
  /// Those of that kind or below it.
  States filter(StateKind kind) const;
  States filter(const Filter& keep) const;
  /// Those whose path is `prefix` or begins with "prefix.".
  States under(std::string_view prefix) const;
  std::int64_t numel() const;

 private:
  std::vector<Entry> entries_;
};

}  // namespace vg
