#include "voxgrad/framework/checkpoint/json.hpp"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/numbers.hpp"

namespace vg::checkpoint {

std::string path_of(const std::string& path, std::string_view key) {
  const bool plain = !key.empty() && key.size() < 60 && (key[0] < '0' || key[0] > '9') &&
                     key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string_view::npos;
  return plain ? fmt::format("{}.{}", path, key) : fmt::format("{}[{}]", path, in_quotes(key));
}
std::string path_of(const std::string& path, std::size_t entry) { return fmt::format("{}[{}]", path, entry); }

const Json* find(const Object& object, std::string_view key) {
  for (const auto& [name, value] : object)
    if (name == key) return &value;
  return nullptr;
}

namespace {
template <class T>
bool append_to(Json& array, Json& value) {
  T* const entry = value.as<T>();
  auto* const same = array.as<std::vector<T>>();
  if (entry == nullptr || same == nullptr) return false;
  same->push_back(std::move(*entry));
  return true;
}
template <class T>
bool make_typed(Json& array, const Json& value) {
  if (value.is<T>()) array = std::vector<T>();
  return value.is<T>();
}
template <class T>
void make_any(Json& array) {
  if (auto* const typed = array.as<std::vector<T>>()) array = Array(typed->begin(), typed->end());
}
}  // namespace

Json& append(Json& array, Json value) {
  if (const Array* any = array.as<Array>(); any != nullptr && any->empty())
    make_typed<std::int64_t>(array, value) || make_typed<double>(array, value) || make_typed<std::string>(array, value);
  if (append_to<std::int64_t>(array, value) || append_to<double>(array, value) || append_to<std::string>(array, value))
    return array;
  make_any<std::int64_t>(array), make_any<double>(array), make_any<std::string>(array);
  return array.as<Array>()->emplace_back(std::move(value));
}

namespace {

std::string got(const Json& value) {
  if (const auto* text = value.as<std::string>()) return in_quotes(*text);
  if (const auto* truth = value.as<bool>()) return *truth ? "true" : "false";
  if (const auto* integer = value.as<std::int64_t>()) return std::to_string(*integer);
  if (const auto* natural = value.as<std::uint64_t>()) return std::to_string(*natural);
  if (const auto* real = value.as<double>()) {
    char digits[number_room];
    return {digits, print_real(digits, *real)};
  }
  return value.is<std::nullptr_t>() ? "null" : value.is<Object>() ? "an object" : "an array";
}

// A value and its place: below `parent`, which outlives it, or at `root`. The path is made for messages only.
struct Node {
  const Json& json;
  std::string root{};
  const Node* parent = nullptr;
  std::string_view key{};
  std::size_t index = 0;  // without a key

  Node below(std::string_view name, const Json& value) const { return {value, {}, this, name}; }
  Node entry(std::size_t i, const Json& value) const { return {value, {}, this, {}, i}; }
  std::string path() const {
    if (parent == nullptr) return root;
    return key.data() != nullptr ? path_of(parent->path(), key) : path_of(parent->path(), index);
  }

  [[noreturn]] void fail(const std::string& text) const { throw ParseError(text, path()); }
  void must_be(bool right, std::string_view what) const {
    if (!right) fail(fmt::format("got {}; must be {}", got(json), what));
  }

  const std::string& text() const {
    const auto* const text = json.as<std::string>();
    must_be(text != nullptr, "a string");
    return *text;
  }
  std::int64_t integer() const {
    const auto* const integer = json.as<std::int64_t>();
    must_be(integer != nullptr, "an integer of at most 64 bits, without fraction or exponent");
    return *integer;
  }
  /// Also "nan", "inf" and so on, which only a value of a stated type may be.
  double real() const {
    if (const auto* real = json.as<double>()) return *real;
    if (const auto* integer = json.as<std::int64_t>()) return static_cast<double>(*integer);
    if (const auto* natural = json.as<std::uint64_t>()) return static_cast<double>(*natural);
    const auto* const text = json.as<std::string>();
    must_be(text != nullptr, "a number of f64");
    double special = 0;
    if (!parse_special(*text, special))
      fail(
          fmt::format("got {}; besides numbers f64 has \"nan\", \"inf\", \"-inf\" and \"nan:0x\" with 16 lower-case "
                      "digits that are a NaN's bits",
                      got(json)));
    return special;
  }

  /// The entries of an array, each by `of`.
  template <class T>
  std::vector<T> list(T (*of)(const Node&), std::size_t most = SIZE_MAX) const {
    std::vector<T> entries;
    const auto read = [&](const auto& values) {
      entries.reserve(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto& value = json_of(values[i]);
        if (i == most) entry(i, value).fail(fmt::format("the array has more than {} entries", most));
        entries.push_back(of(entry(i, value)));
      }
    };
    if (const auto* integers = json.as<std::vector<std::int64_t>>())
      read(*integers);
    else if (const auto* reals = json.as<std::vector<double>>())
      read(*reals);
    else if (const auto* texts = json.as<std::vector<std::string>>())
      read(*texts);
    else
      read(any());
    return entries;
  }
  static const Json& json_of(const Json& entry) { return entry; }
  template <class T>
  static Json json_of(const T& entry) {
    return entry;
  }
  const Array& any() const {
    const auto* const entries = json.as<Array>();
    must_be(entries != nullptr, "an array");
    return *entries;
  }
  const Object& object() const {
    const auto* const object = json.as<Object>();
    must_be(object != nullptr, "an object");
    return *object;
  }
  /// The values of an object with any keys, each by `of`.
  template <class F>
  auto map(const F& of) const {
    std::vector<std::pair<std::string, decltype(of(*this))>> values;
    values.reserve(object().size());
    for (const auto& [name, value] : object()) values.emplace_back(name, of(below(name, value)));
    return values;
  }
};

std::int64_t integer_of(const Node& n) { return n.integer(); }
double real_of(const Node& n) { return n.real(); }
std::string text_of(const Node& n) { return n.text(); }

// An object with a fixed set of keys.
class Record {
 public:
  Record(Node node, std::initializer_list<std::string_view> keys) : node_(std::move(node)) {
    for (const auto& [key, value] : node_.object())
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        node_.below(key, value)
            .fail(fmt::format("got the key {}; allowed are \"{}\"", in_quotes(key), fmt::join(keys, "\", \"")));
  }
  Node operator[](std::string_view key) const {
    const Json* const value = find(node_.object(), key);
    if (value == nullptr) node_.fail(fmt::format("the key \"{}\" is missing", key));
    return node_.below(key, *value);
  }
  /// Calls f(node) if there is such a key.
  template <class F>
  void optional(std::string_view key, const F& f) const {
    if (find(node_.object(), key) != nullptr) f((*this)[key]);
  }

 private:
  Node node_;
};

// A value that is an object states its type, which plain JSON would lose: {"f64": "nan"}, {"i64": []}.
Value typed_value(const Node& n) {
  constexpr const char* rule = "a value that is an object has one key, its type: \"f64\", \"i64\" or \"string\"";
  const Object& object = n.object();
  if (object.empty()) n.fail(rule);
  const auto& [type, typed] = object.front();
  if (object.size() > 1)
    n.fail(fmt::format("got the key {} after {}; {}", in_quotes(object[1].first), in_quotes(type), rule));
  const Node value = n.below(type, typed);
  const bool scalar = typed.is<std::int64_t>() || typed.is<std::uint64_t>() || typed.is<double>() ||
                      typed.is<std::string>() || typed.is<bool>() || typed.is<std::nullptr_t>();
  const auto read = [&](auto of) { return scalar ? Value(of(value)) : Value(value.list(of)); };
  if (type == "f64") return read(real_of);
  if (type == "i64") return read(integer_of);
  if (type == "string") return read(text_of);
  value.fail(fmt::format("got the key {}; {}", in_quotes(type), rule));
}

// An array whose entries are not of one type, or that is empty: the first entry determines the error.
[[noreturn]] void refuse_array(const Node& n) {
  const Array& entries = n.any();
  if (entries.empty()) n.fail("an empty array must say its type: {\"i64\": []}, {\"f64\": []} or {\"string\": []}");
  const Json& first = entries[0];
  if (first.is<std::string>()) n.list(text_of);
  if (first.is<std::int64_t>() || first.is<std::uint64_t>()) n.list(integer_of);
  n.entry(0, first).must_be(first.is<double>(), "an integer, a number or a string");
  for (std::size_t i = 1; i < entries.size(); ++i) {
    const Node entry = n.entry(i, entries[i]);
    if (entries[i].is<std::int64_t>() || entries[i].is<std::uint64_t>())
      entry.fail(fmt::format("got the integer {} in an array of f64; write it with \".0\"", got(entries[i])));
    if (entries[i].is<std::string>())
      entry.fail(
          fmt::format("got {} in an array of f64; such an array is written {{\"f64\": [...]}}", got(entries[i])));
    entry.real();
  }
  n.fail("got an array of several types");
}

Value value_of(const Node& n) {
  if (const auto* truth = n.json.as<bool>()) return *truth;
  if (const auto* real = n.json.as<double>()) return *real;
  if (const auto* text = n.json.as<std::string>()) return *text;
  if (const auto* integers = n.json.as<std::vector<std::int64_t>>()) return *integers;
  if (const auto* reals = n.json.as<std::vector<double>>()) return *reals;
  if (const auto* texts = n.json.as<std::vector<std::string>>()) return *texts;
  if (n.json.is<std::int64_t>() || n.json.is<std::uint64_t>()) return n.integer();
  if (n.json.is<Array>()) refuse_array(n);
  n.must_be(n.json.is<Object>(), "true, false, a number, a string, an array of them, or an object that says its type");
  return typed_value(n);
}
Attributes values_of(const Node& n) { return n.map(value_of); }

class Reader {
 public:
  explicit Reader(std::vector<Tensor>& tensors) : tensors_(tensors) {}

  Document document(const Node& n) {
    const Record r(n, {"format", "version", "progress", "generator", "model", "models", "optimizer", "optimizers",
                       "parts", "crc32"});
    Document d;
    check_format(r["format"].json);
    d.version = static_cast<int>(r["version"].integer());
    const auto model = [this](const Node& m) { return this->model(m); };
    r.optional("progress", [&](const Node& v) { d.progress = values_of(v); });
    r.optional("generator", [&](const Node& v) { d.generator = key_of(v); });
    r.optional("model", [&](const Node& v) { d.model = model(v); });
    r.optional("models", [&](const Node& v) { d.models = v.map(model); });
    r.optional("optimizer", [&](const Node& v) { d.optimizer = state_dict(v); });
    r.optional("optimizers", [&](const Node& v) { d.optimizers = state_dicts(v); });
    r.optional("parts", [&](const Node& v) { d.parts = state_dicts(v); });
    r.optional("crc32", [&](const Node&) { d.summed = true; });
    return d;
  }

 private:
  static random::Key key_of(const Node& n) {
    const Record r(n, {"algorithm", "key"});
    if (const Node name = r["algorithm"]; name.text() != generator_name)
      name.fail(fmt::format("got {}; this version reads \"{}\"", got(name.json), generator_name));
    const auto words = r["key"].list(integer_of, 2);
    for (const std::int64_t w : words)
      if (w < 0 || w > 0xffffffff) r["key"].fail(fmt::format("got {}; must be of 32 bits, unsigned", w));
    if (words.size() != 2) r["key"].fail(fmt::format("got {} words; must be 2", words.size()));
    return {static_cast<std::uint32_t>(words[0]), static_cast<std::uint32_t>(words[1])};
  }

  static ModuleConfig description(const Node& n) {
    const Record r(n, {"kind", "options", "children"});
    ModuleConfig d;
    d.kind = r["kind"].text();
    r.optional("options", [&](const Node& v) { d.options = values_of(v); });
    r.optional("children", [&](const Node& v) { d.children = v.map(description); });
    return d;
  }

  Tensor tensor(const Node& n) {
    const Record r(n, {"dtype", "shape", "encoding", "crc32", "values"});
    header_of(n.object(), n.path());
    const Node values = r["values"];
    const auto* const reference = values.json.as<Reference>();
    values.must_be(reference != nullptr, "an array");  // read.cpp reads arrays and base64
    Tensor t = std::move(tensors_[reference->index]);
    r.optional("crc32", [&](const Node& sum) {
      const auto found = static_cast<std::int64_t>(
          ::crc32_z(0, static_cast<const Bytef*>(t.raw()), static_cast<std::size_t>(t.bytes())));
      if (const std::int64_t said = sum.integer(); said != found)
        n.fail(fmt::format(
            "the CRC-32 of the values is {}, the file says {}: the file is damaged, or was changed by hand; to load it "
            "as it is, remove this \"crc32\" and the one at the end of the file",
            found, said));
    });
    return t;
  }
  std::vector<std::pair<std::string, Tensor>> tensors(const Node& n) {
    return n.map([this](const Node& t) { return tensor(t); });
  }

  SavedState state(const Node& n) {
    const Record r(n, {"kind", "frozen", "leaves"});
    SavedState s{r["kind"].text(), tensors(r["leaves"]), {}};
    r.optional("frozen", [&](const Node& v) { s.frozen = v.list(text_of); });
    std::set<std::string_view> leaves;
    for (const auto& [name, t] : s.leaves) leaves.insert(name);
    for (const std::string& name : s.frozen)
      if (leaves.erase(name) == 0)
        r["frozen"].fail(fmt::format("got {}; must be leaves of this state, each once", in_quotes(name)));
    return s;
  }

  SavedModel model(const Node& n) {
    const Record r(n, {"description", "states"});
    return {description(r["description"]), r["states"].map([this](const Node& s) { return state(s); })};
  }

  StateDict state_dict(const Node& n) {
    const Record r(n, {"values", "tensors", "parts"});
    StateDict s;
    r.optional("values", [&](const Node& v) { s.values = values_of(v); });
    r.optional("tensors", [&](const Node& v) { s.tensors = tensors(v); });
    r.optional("parts", [&](const Node& v) { s.parts = state_dicts(v); });
    return s;
  }
  std::vector<std::pair<std::string, StateDict>> state_dicts(const Node& n) {
    return n.map([this](const Node& s) { return state_dict(s); });
  }

  std::vector<Tensor>& tensors_;
};

}  // namespace

void check_format(const Json& value) {
  if (const auto* text = value.as<std::string>(); text == nullptr || *text != format_name)
    throw ParseError(fmt::format("got {}; must be \"{}\": this is not a checkpoint", got(value), format_name));
}

void check_version(const Json& value) {
  const std::int64_t version = as_integer(value);
  if (version < 1 || version > format_version)
    throw ParseError(
        fmt::format("the file is of version {}; this voxgrad reads versions 1 to {}", version, format_version));
}

std::int64_t as_integer(const Json& value) { return Node{value, {}}.integer(); }

TensorHeader header_of(const Object& tensor, const std::string& path) {
  const auto at = [&](const char* key) {
    const Json* const found = find(tensor, key);
    if (found == nullptr)
      throw ParseError(tensor.empty() ? fmt::format("the key \"{}\" is missing", key)
                                      : fmt::format("the key \"{}\" is missing; it must come before \"values\"", key),
                       path);
    return Node{*found, path_of(path, key)};
  };
  const auto valid = [](const Node& n, const auto& make) {  // impossible shapes and dtypes throw ValueError
    try {
      return make();
    } catch (const std::invalid_argument& e) {
      n.fail(e.what());
    }
  };
  const Node dtype = at("dtype"), shape = at("shape");
  TensorHeader h{valid(dtype, [&] { return dtype_from_name(dtype.text()); }),
                 valid(shape,
                       [&] {
                         Shape s(shape.list(integer_of, Shape::max_rank));
                         s.numel();  // throws for a product above 2^63 - 1
                         return s;
                       }),
                 Encoding::decimal};
  if (find(tensor, "encoding") != nullptr) {
    const Node encoding = at("encoding");
    const std::string& name = encoding.text();
    if (name != "decimal" && name != "base64")
      encoding.fail(fmt::format("got {}; must be \"decimal\" or \"base64\"", got(encoding.json)));
    if (name == "base64") h.encoding = Encoding::base64;
  }
  return h;
}

Document from_json(const Json& json, std::vector<Tensor>& tensors) { return Reader(tensors).document({json, "$"}); }

}  // namespace vg::checkpoint
