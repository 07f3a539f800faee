// State: a named, ordered set of tensors ("leaves") with a kind, after brainstate's State. A State is a handle: copies
// are the same state, so copying ties weights. Leaves are Variables. Those of a ParamState require a gradient unless
// they are frozen, which makes them constants. Using a state that was moved from throws ValueError.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/base/random.hpp"

namespace vg {

/// State <- {short_term <- hidden, long_term <- {param, batch}}, random.
enum class StateKind : std::uint8_t { state, short_term, hidden, long_term, param, batch, random };
std::string_view name_of(StateKind kind);
/// Whether `kind` is `ancestor` or below it in the tree above.
bool is_a(StateKind kind, StateKind ancestor);

class State {
 public:
  explicit State(StateKind kind = StateKind::state, std::string tag = {});

  StateKind kind() const;
  const std::string& tag() const;
  std::vector<std::string> leaves() const;
  std::size_t size() const;
  bool has(std::string_view leaf) const;
  /// Throws ValueError, listing the leaves, if there is none of that name.
  const Variable& operator[](std::string_view leaf) const;
  /// Adds a leaf. Throws ValueError for an existing name or an undefined tensor.
  void add(std::string_view leaf, const Tensor& value);
  /// Sets a value of the same shape and dtype (else ValueError). A graph that was recorded before keeps the old value.
  void set(std::string_view leaf, const Tensor& value);
  /// The same for any shape and dtype.
  void replace(std::string_view leaf, const Tensor& value);
  /// The leaf's tensor, to be changed in place. It is copied first if a graph or another tensor still refers to the old
  /// value. Write to it before the state is read again, because a lazy value may read it later.
  Tensor& writable(std::string_view leaf);
  /// Exchanges the leaf and its gradient for `other` of the same shape and dtype (else ValueError). It copies no
  /// values, so the old leaf can always be put back.
  void exchange(std::string_view leaf, Variable& other);
  void set_grad(std::string_view leaf, const Variable& grad);
  void zero_grad();
  /// Freezes all leaves, also those that are added later: they require no gradient, lose the one they have, and no
  /// optimizer or layer changes them. A graph that was recorded before keeps the old leaf.
  void freeze();
  void unfreeze();
  /// The same for one leaf (ValueError if there is none of that name).
  void freeze(std::string_view leaf);
  void unfreeze(std::string_view leaf);
  /// Whether all leaves are frozen; whether one leaf is.
  bool frozen() const;
  bool frozen(std::string_view leaf) const;
  /// A new state with the same kind, tag, leaves and frozen flags, with its own memory and without gradients.
  State copy() const;
  /// Converts floating leaves; i32 leaves stay as they are.
  void to(DType dtype);
  std::int64_t numel() const;
  std::int64_t bytes() const;

  /// The same pointer for all handles of one state; nullptr for a state that was moved from.
  const void* identity() const { return data_.get(); }
  /// Whether both are handles of the same state.
  bool is(const State& other) const { return data_ == other.data_; }

 private:
  struct Data;
  struct Leaf;
  Data& data() const;
  Leaf& leaf(std::string_view name) const;
  Variable make_leaf(const Tensor& value, bool frozen) const;
  void set_frozen(Leaf& leaf, bool on);
  std::shared_ptr<Data> data_;
};

/// Parameters that are trained: the leaves require gradients.
struct ParamState : State {
  explicit ParamState(std::string tag = {}) : State(StateKind::param, std::move(tag)) {}
};
/// Running statistics: stored in checkpoints, not trained.
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
/// A random stream that is saved with the model. Its leaf "key", i32 (2,), contains the bits of a Threefry key.
struct RandomState : State {
  explicit RandomState(std::uint64_t seed);
  explicit RandomState(const random::Key& key);
  random::Key key() const;
  random::Key next();
};

/// Whether a dotted path is `pattern` or below it: "encoder" fits "encoder" and "encoder.conv". Within an element of
/// the pattern, `*` matches any characters except the dot. The element `**` matches any number of elements:
/// "layers.*.weight", "**.bias". The empty pattern fits every path.
bool path_fits(std::string_view path, std::string_view pattern);

/// States by dotted path ("layers.0.weight"), in the order in which visit() names them.
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
  /// Throws ValueError, naming the path, if there is no such state.
  const State& at(std::string_view path) const;
  /// The states of that kind or below it.
  States filter(StateKind kind) const;
  States filter(const Filter& keep) const;
  /// The states whose path fits `prefix` (path_fits).
  States under(std::string_view prefix) const;
  std::int64_t numel() const;

  /// A module whose computation depends on the mode (Module::has_training_mode), for an optimizer's check.
  struct ModeOf {
    std::string path, kind;
    std::shared_ptr<bool> trained;  ///< whether it was ever in training mode; shared with the module
    std::vector<State> statistics;  ///< its own BatchStates; if one is frozen, its mode does not matter
  };
  /// The filters keep all of them; under() keeps those below the path.
  const std::vector<ModeOf>& modes() const { return modes_; }
  void add_mode(ModeOf mode) { modes_.push_back(std::move(mode)); }

 private:
  std::vector<Entry> entries_;
  std::vector<ModeOf> modes_;
};

}  // namespace vg
