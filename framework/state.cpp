#include "framework/state.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "framework/error.hpp"

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

struct State::Data {
  StateKind kind;
  std::string tag;
  std::vector<std::pair<std::string, Variable>> leaves;
};

State::State(StateKind kind, std::string tag) : data_(std::make_shared<Data>(Data{kind, std::move(tag), {}})) {}

StateKind State::kind() const { return data_->kind; }
const std::string& State::tag() const { return data_->tag; }
std::size_t State::size() const { return data_->leaves.size(); }

std::vector<std::string> State::leaves() const {
  std::vector<std::string> names;
  for (const auto& [name, v] : data_->leaves) names.push_back(name);
  return names;
}

bool State::has(std::string_view name) const {
  return std::any_of(data_->leaves.begin(), data_->leaves.end(), [&](const auto& l) { return l.first == name; });
}

Variable& State::leaf(std::string_view name) const {
  for (auto& [n, v] : data_->leaves)
    if (n == name) return v;
  throw ValueError(
      fmt::format("[{}] leaf: got \"{}\"; there are: {}", name_of(kind()), name, fmt::join(leaves(), ", ")));
}

const Variable& State::operator[](std::string_view name) const { return leaf(name); }

Variable State::make_leaf(const Tensor& value) const {
  value.storage()->set_guarded();  // writable() copies it where something else refers to the leaf
  return Variable(value, kind() == StateKind::param && is_float(value.dtype()));
}

void State::add(std::string_view name, const Tensor& value) {
  if (has(name)) throw ValueError(fmt::format("[{}] add: there is a leaf \"{}\" already", name_of(kind()), name));
  if (!value.defined())
    throw ValueError(fmt::format("[{}] add: the value of leaf \"{}\" is undefined", name_of(kind()), name));
  data_->leaves.emplace_back(name, make_leaf(value));
}

void State::set(std::string_view name, const Tensor& value) {
  const Tensor& old = leaf(name).value();
  if (!value.defined() || value.shape() != old.shape() || value.dtype() != old.dtype())
    throw ValueError(fmt::format("[{}] set {}: got {} {}; must be {} {} (replace() takes any)", name_of(kind()), name,
                                 name_of(value.dtype()), value.shape().str(), name_of(old.dtype()), old.shape().str()));
  replace(name, value);
}

void State::replace(std::string_view name, const Tensor& value) {
  if (!value.defined()) throw ValueError(fmt::format("[{}] replace {}: the value is undefined", name_of(kind()), name));
  leaf(name) = make_leaf(value);
}

Tensor& State::writable(std::string_view name) {
  Variable& v = leaf(name);
  if (!v.unique()) {  // a recorded graph still needs the old value: leave it that one, with a fresh leaf here
    Variable fresh = make_leaf(v.value().clone());
    fresh.set_grad(v.grad());
    v = fresh;
  }
  v.mutable_value().make_unique();
  return v.mutable_value();
}

void State::exchange(std::string_view name, Variable& other) {
  Variable& own = leaf(name);
  if (!other.defined() || other.shape() != own.shape() || other.dtype() != own.dtype())
    throw ValueError(fmt::format("[{}] exchange {}: got {}; must be {} {}", name_of(kind()), name,
                                 other.defined() ? other.value().str() : "an undefined variable", name_of(own.dtype()),
                                 own.shape().str()));
  std::swap(own, other);
}

void State::set_grad(std::string_view name, const Variable& grad) { leaf(name).set_grad(grad); }

void State::zero_grad() {
  for (auto& [name, v] : data_->leaves) v.zero_grad();
}

void State::to(DType dtype) {
  if (!is_float(dtype)) throw TypeError("[State] to: got i32; must be f32 or f64");
  for (auto& [name, v] : data_->leaves)
    if (is_float(v.dtype()) && v.dtype() != dtype) v = make_leaf(v.value().to(dtype));
}

std::int64_t State::numel() const {
  std::int64_t n = 0;
  for (const auto& [name, v] : data_->leaves) n += v.numel();
  return n;
}

std::int64_t State::bytes() const {
  std::int64_t n = 0;
  for (const auto& [name, v] : data_->leaves) n += v.value().bytes();
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

States States::filter(const Filter& keep) const {
  States kept;
  for (const auto& [path, state] : entries_)
    if (keep(path, state)) kept.insert(path, state);
  return kept;
}

States States::filter(StateKind kind) const {
  return filter([&](const std::string&, const State& s) { return is_a(s.kind(), kind); });
}

States States::under(std::string_view prefix) const {
  return filter([&](const std::string& path, const State&) {
    return path == prefix || (path.size() > prefix.size() && path.starts_with(prefix) && path[prefix.size()] == '.');
  });
}

std::int64_t States::numel() const {
  std::int64_t n = 0;
  for (const auto& [path, state] : entries_) n += state.numel();
  return n;
}

}  // namespace vg
