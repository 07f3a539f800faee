#include "voxgrad/framework/nn/state.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

std::string_view name_of(StateKind kind) {
  switch (kind) {
    case StateKind::short_term:
      return "ShortTermState";
    case StateKind::hidden:
      return "HiddenState";
    case StateKind::long_term:
      return "LongTermState";
    case StateKind::param:
      return "ParamState";
    case StateKind::batch:
      return "BatchState";
    case StateKind::random:
      return "RandomState";
    default:
      return "State";
  }
}

bool is_a(StateKind kind, StateKind ancestor) {
  if (kind == ancestor || ancestor == StateKind::state) return true;
  if (ancestor == StateKind::short_term) return kind == StateKind::hidden;
  return ancestor == StateKind::long_term && (kind == StateKind::param || kind == StateKind::batch);
}

struct State::Leaf {
  std::string name;
  Variable value;
  bool frozen;

  Leaf(std::string of_name, Variable leaf, bool is_frozen)
      : name(std::move(of_name)), value(std::move(leaf)), frozen(is_frozen) {}
  Leaf(Leaf&&) = default;
  Leaf& operator=(Leaf&&) = delete;
  ~Leaf() { drop_recorded_grad(); }

  void replace(Variable fresh) {
    drop_recorded_grad();
    value = std::move(fresh);
  }

 private:
  // The graph of a recorded gradient (create_graph) refers to the leaf, and the leaf holds the gradient: a cycle.
  void drop_recorded_grad() {
    if (value.grad().requires_grad()) value.zero_grad();
  }
};

struct State::Data {
  StateKind kind;
  std::string tag;
  std::vector<Leaf> leaves;
  bool frozen;  // of leaves that are added later
};

State::State(StateKind kind, std::string tag) : data_(std::make_shared<Data>(Data{kind, std::move(tag), {}, false})) {}

State::Data& State::data() const {
  if (!data_) throw ValueError("[State] it was moved from, so it holds nothing; use the state or module it moved to");
  return *data_;
}

StateKind State::kind() const { return data().kind; }
const std::string& State::tag() const { return data().tag; }
std::size_t State::size() const { return data().leaves.size(); }

std::vector<std::string> State::leaves() const {
  std::vector<std::string> names;
  for (const Leaf& l : data().leaves) names.push_back(l.name);
  return names;
}

bool State::has(std::string_view name) const {
  const auto& leaves = data().leaves;
  return std::any_of(leaves.begin(), leaves.end(), [&](const Leaf& l) { return l.name == name; });
}

State::Leaf& State::leaf(std::string_view name) const {
  for (Leaf& l : data().leaves)
    if (l.name == name) return l;
  throw ValueError(
      fmt::format("[{}] leaf: got \"{}\"; there are: {}", name_of(kind()), name, fmt::join(leaves(), ", ")));
}

const Variable& State::operator[](std::string_view name) const { return leaf(name).value; }

Variable State::make_leaf(const Tensor& value, bool frozen) const {
  value.storage()->set_guarded();  // writable() copies it if other objects refer to the leaf
  return Variable(value, kind() == StateKind::param && !frozen && is_float(value.dtype()));
}

void State::add(std::string_view name, const Tensor& value) {
  if (has(name)) throw ValueError(fmt::format("[{}] add: there is a leaf \"{}\" already", name_of(kind()), name));
  if (!value.defined())
    throw ValueError(fmt::format("[{}] add: the value of leaf \"{}\" is undefined", name_of(kind()), name));
  data().leaves.emplace_back(std::string(name), make_leaf(value, data().frozen), data().frozen);
}

void State::set(std::string_view name, const Tensor& value) {
  const Tensor& old = leaf(name).value.value();
  if (!value.defined() || value.shape() != old.shape() || value.dtype() != old.dtype())
    throw ValueError(fmt::format("[{}] set {}: got {}; must be {} (replace() takes any)", name_of(kind()), name,
                                 form(value), form(old)));
  replace(name, value);
}

void State::replace(std::string_view name, const Tensor& value) {
  if (!value.defined()) throw ValueError(fmt::format("[{}] replace {}: the value is undefined", name_of(kind()), name));
  Leaf& l = leaf(name);
  l.replace(make_leaf(value, l.frozen));
}

Tensor& State::writable(std::string_view name) {
  Leaf& l = leaf(name);
  if (!l.value.unique()) {  // a recorded graph still needs the old value, so this state gets a fresh leaf
    Variable fresh = make_leaf(l.value.value().clone(), l.frozen);
    fresh.set_grad(l.value.grad());
    l.replace(std::move(fresh));
  }
  Tensor& value = l.value.mutable_value();
  value.make_unique();
  value.storage()->set_guarded();
  return value;
}

void State::exchange(std::string_view name, Variable& other) {
  Leaf& l = leaf(name);
  Variable& own = l.value;
  if (!other.defined() || other.shape() != own.shape() || other.dtype() != own.dtype())
    throw ValueError(fmt::format("[{}] exchange {}: got {}; must be {} {}", name_of(kind()), name,
                                 other.defined() ? other.value().str() : "an undefined variable", name_of(own.dtype()),
                                 own.shape().str()));
  std::swap(own, other);
  own.value().storage()->set_guarded();
  if (own.requires_grad() && l.frozen) own = make_leaf(own.value(), true);  // it was frozen while it was elsewhere
}

void State::set_grad(std::string_view name, const Variable& grad) { leaf(name).value.set_grad(grad); }

void State::zero_grad() {
  for (Leaf& l : data().leaves) l.value.zero_grad();
}

void State::set_frozen(Leaf& l, bool on) {
  if (l.frozen != on) l.replace(make_leaf(l.value.value(), on));
  l.frozen = on;
}

void State::freeze() {
  for (Leaf& l : data().leaves) set_frozen(l, true);
  data().frozen = true;
}

void State::unfreeze() {
  for (Leaf& l : data().leaves) set_frozen(l, false);
  data().frozen = false;
}

void State::freeze(std::string_view name) { set_frozen(leaf(name), true); }

void State::unfreeze(std::string_view name) {
  set_frozen(leaf(name), false);
  data().frozen = false;
}

bool State::frozen() const {
  const auto& leaves = data().leaves;
  return data().frozen ||
         (!leaves.empty() && std::all_of(leaves.begin(), leaves.end(), [](const Leaf& l) { return l.frozen; }));
}

bool State::frozen(std::string_view name) const { return leaf(name).frozen; }

State State::copy() const {
  State made(kind(), tag());
  for (const Leaf& l : data().leaves)
    made.data().leaves.emplace_back(l.name, make_leaf(l.value.value().clone(), l.frozen), l.frozen);
  made.data().frozen = data().frozen;
  return made;
}

void State::to(DType dtype) {
  if (!is_float(dtype)) throw TypeError("[State] to: got i32; must be f32 or f64");
  for (Leaf& l : data().leaves)
    if (is_float(l.value.dtype()) && l.value.dtype() != dtype)
      l.replace(make_leaf(l.value.value().to(dtype), l.frozen));
}

std::int64_t State::numel() const {
  std::int64_t n = 0;
  for (const Leaf& l : data().leaves) n += l.value.numel();
  return n;
}

std::int64_t State::bytes() const {
  std::int64_t n = 0;
  for (const Leaf& l : data().leaves) n += l.value.value().bytes();
  return n;
}

RandomState::RandomState(std::uint64_t seed) : RandomState(random::key_of(seed)) {}

namespace {
Tensor tensor_of(const random::Key& key) {
  return Tensor::of<std::int32_t>({2}, {std::bit_cast<std::int32_t>(key[0]), std::bit_cast<std::int32_t>(key[1])});
}
}  // namespace

RandomState::RandomState(const random::Key& key) : State(StateKind::random) { add("key", tensor_of(key)); }

random::Key RandomState::key() const {
  const auto* bits = (*this)["key"].value().data<std::int32_t>();
  return {std::bit_cast<std::uint32_t>(bits[0]), std::bit_cast<std::uint32_t>(bits[1])};
}

random::Key RandomState::next() {
  const auto keys = random::split(key());
  set("key", tensor_of(keys[0]));
  return keys[1];
}

bool States::has(std::string_view path) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.first == path; });
}

const State& States::at(std::string_view path) const {
  for (const Entry& e : entries_)
    if (e.first == path) return e.second;
  throw ValueError(fmt::format("[States] path: there is no state \"{}\"", path));
}

namespace {

// Removes the first element of a path and returns it.
std::string_view take_element(std::string_view& path) {
  const std::size_t end = std::min(path.find('.'), path.size());
  const std::string_view element = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return element;
}

// Whether an element fits `pattern`, in which * matches any characters.
bool element_fits(std::string_view element, std::string_view pattern) {
  if (pattern.empty()) return element.empty();
  if (pattern[0] != '*')
    return !element.empty() && element[0] == pattern[0] && element_fits(element.substr(1), pattern.substr(1));
  for (std::size_t i = 0; i <= element.size(); ++i)
    if (element_fits(element.substr(i), pattern.substr(1))) return true;
  return false;
}

}  // namespace

bool path_fits(std::string_view path, std::string_view pattern) {
  if (pattern.empty()) return true;
  const std::string_view first = take_element(pattern);
  if (first == "**") {
    for (std::string_view rest = path; !path_fits(rest, pattern); take_element(rest))
      if (rest.empty()) return false;
    return true;
  }
  return !path.empty() && element_fits(take_element(path), first) && path_fits(path, pattern);
}

States States::filter(const Filter& keep) const {
  States kept;
  for (const auto& [path, state] : entries_)
    if (keep(path, state)) kept.insert(path, state);
  kept.modes_ = modes_;
  return kept;
}

States States::filter(StateKind kind) const {
  return filter([&](const std::string&, const State& s) { return is_a(s.kind(), kind); });
}

States States::under(std::string_view prefix) const {
  States kept = filter([&](const std::string& path, const State&) { return path_fits(path, prefix); });
  std::erase_if(kept.modes_, [&](const ModeOf& m) { return !path_fits(m.path, prefix); });
  return kept;
}

std::int64_t States::numel() const {
  std::int64_t n = 0;
  for (const auto& [path, state] : entries_) n += state.numel();
  return n;
}

}  // namespace vg
