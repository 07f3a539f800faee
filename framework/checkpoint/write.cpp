// Writes a checkpoint: makes its Json, then prints that. nlohmann prints strings, this file their places, and
// payload.cpp the values of tensors.
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/json.hpp"
#include "voxgrad/framework/checkpoint/numbers.hpp"
#include "voxgrad/framework/checkpoint/payload.hpp"

namespace vg::checkpoint {

namespace {

// Makes the document of a Document, without "crc32". References count from 0 in `tensors`.
class Writer {
 public:
  Writer(Encoding encoding, std::vector<Tensor>& tensors) : encoding_(encoding), tensors_(tensors) {}

  // Small entries come first, so that the head of the file shows what it is and how far the run was.
  Object document(const Document& d) {
    Object json = object();
    json.emplace_back("format", std::string(format_name));
    json.emplace_back("version", std::int64_t{format_version});
    add_values(json, "progress", d.progress);
    if (d.generator) {
      Object generator;
      generator.reserve(2);
      generator.emplace_back("algorithm", std::string(generator_name));
      generator.emplace_back("key", std::vector<std::int64_t>{(*d.generator)[0], (*d.generator)[1]});
      json.emplace_back("generator", std::move(generator));
    }
    const auto model = [this](const SavedModel& m) { return this->model(m); };
    if (d.model) json.emplace_back("model", within("model", [&] { return model(*d.model); }));
    add(json, "models", d.models, model);
    if (d.optimizer) json.emplace_back("optimizer", within("optimizer", [&] { return state_dict(*d.optimizer); }));
    add_state_dicts(json, "optimizers", d.optimizers);
    add_state_dicts(json, "parts", d.parts);
    return json;
  }

 private:
  // Values whose type plain JSON would lose are objects whose one key is the type: numbers that are strings in JSON,
  // and empty lists.
  static Json typed(const char* type, Json value) {
    Object json;
    json.emplace_back(type, std::move(value));
    return json;
  }
  // An object at the present path. One more level is allowed, for an array within the object.
  Object object() const {
    if (depth_ + 2 > static_cast<std::size_t>(max_depth))
      throw ValueError(fmt::format("[checkpoint] save: {} is nested more than {} deep", in_quotes(path_), max_depth));
    return {};
  }
  Json text(const std::string& v) const {
    if (v.size() > max_text)
      throw ValueError(fmt::format("[checkpoint] save: the string at {} has {} bytes; a checkpoint allows {}",
                                   in_quotes(path_), v.size(), max_text));
    if (!is_utf8(v))
      throw ValueError(fmt::format("[checkpoint] save: the string at {} is not UTF-8", in_quotes(path_)));
    return v;
  }
  Json texts(const std::vector<std::string>& list) const {
    for (const std::string& v : list) text(v);
    return list;
  }
  static Json json_of_real(double v) {
    if (std::isfinite(v)) return v;
    char text[number_room];
    char* const end = print(text, v);
    return std::string(text + 1, end - 1);  // without the quotes
  }
  struct JsonOf {
    const Writer& writer;
    Json operator()(const std::string& v) const { return writer.text(v); }
    Json operator()(double v) const { return std::isfinite(v) ? Json(v) : typed("f64", json_of_real(v)); }
    Json operator()(const std::vector<std::int64_t>& v) const { return v.empty() ? typed("i64", Array()) : Json(v); }
    Json operator()(const std::vector<std::string>& v) const {
      return v.empty() ? typed("string", Array()) : writer.texts(v);
    }
    Json operator()(const std::vector<double>& v) const {
      if (!v.empty() && std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x); })) return v;
      Array list;
      for (const double x : v) list.push_back(json_of_real(x));
      return typed("f64", std::move(list));
    }
    template <class T>
    Json operator()(const T& v) const {
      return v;
    }
  };
  Json json_of_value(const Value& value) const {
    return std::visit(JsonOf{*this}, static_cast<const detail::ValueVariant&>(value));
  }

  // f() with `name` at the end of the path.
  template <class F>
  auto within(const std::string& name, const F& f) -> decltype(f()) {
    const std::size_t before = path_.size();
    path_ += "." + name;
    ++depth_;
    auto json = f();
    --depth_;
    path_.resize(before);
    return json;
  }
  template <class T, class F>
  Object map(const std::vector<std::pair<std::string, T>>& values, const F& of) {
    Object json = object();
    std::set<std::string_view> names;
    for (const auto& [name, value] : values) {
      if (!names.insert(name).second)
        throw ValueError(fmt::format("[checkpoint] save: there are two of the name {} in {}", in_quotes(name),
                                     in_quotes(path_ + "." + name)));
      if (names.size() > max_keys)
        throw ValueError(
            fmt::format("[checkpoint] save: {} is one of more than {} names in its object; a checkpoint allows no more",
                        in_quotes(path_ + "." + name), max_keys));
      json.emplace_back(name, within(name, [&, &key = name, &v = value] { return text(key), of(v); }));
    }
    return json;
  }
  // These add the key unless there are no values.
  template <class T, class F>
  void add(Object& json, const char* key, const std::vector<std::pair<std::string, T>>& values, const F& of) {
    if (!values.empty()) json.emplace_back(key, within(key, [&] { return map(values, of); }));
  }
  void add_values(Object& json, const char* key, const Attributes& values) {
    add(json, key, values, [this](const Value& v) { return json_of_value(v); });
  }
  void add_state_dicts(Object& json, const char* key, const std::vector<std::pair<std::string, StateDict>>& parts) {
    add(json, key, parts, [this](const StateDict& s) { return state_dict(s); });
  }

  Object description(const ModuleConfig& d) {
    Object json = object();
    json.emplace_back("kind", within("kind", [&] { return text(d.kind); }));
    add_values(json, "options", d.options);
    add(json, "children", d.children, [this](const ModuleConfig& child) { return description(child); });
    return json;
  }

  Object tensor(const Tensor& t) {
    if (!t.defined()) throw ValueError(fmt::format("[checkpoint] save: the tensor {} is undefined", in_quotes(path_)));
    Object json = object();
    json.emplace_back("dtype", std::string(name_of(t.dtype())));
    const std::vector<std::int64_t> shape(t.shape().begin(), t.shape().end());
    json.emplace_back("shape", shape.empty() ? Json(Array()) : Json(shape));
    if (encoding_ == Encoding::base64) json.emplace_back("encoding", std::string("base64"));
    const auto sum = ::crc32_z(0, static_cast<const Bytef*>(t.raw()), static_cast<std::size_t>(t.bytes()));
    json.emplace_back("crc32", static_cast<std::int64_t>(sum));
    json.emplace_back("values", Reference{tensors_.size()});
    tensors_.push_back(t);
    return json;
  }
  Object tensors(const std::vector<std::pair<std::string, Tensor>>& named) {
    return map(named, [this](const Tensor& t) { return tensor(t); });
  }

  Object model(const SavedModel& m) {
    const auto state = [this](const SavedState& s) {
      Object json = object();
      json.emplace_back("kind", within("kind", [&] { return text(s.kind); }));
      if (!s.frozen.empty()) json.emplace_back("frozen", within("frozen", [&] { return texts(s.frozen); }));
      json.emplace_back("leaves", within("leaves", [&] { return tensors(s.leaves); }));
      return json;
    };
    Object json = object();
    json.emplace_back("description", within("description", [&] { return description(m.description); }));
    json.emplace_back("states", within("states", [&] { return map(m.states, state); }));
    return json;
  }

  Object state_dict(const StateDict& s) {
    Object json = object();
    add_values(json, "values", s.values);
    add(json, "tensors", s.tensors, [this](const Tensor& t) { return tensor(t); });
    add_state_dicts(json, "parts", s.parts);
    return json;
  }

  Encoding encoding_;
  std::vector<Tensor>& tensors_;
  std::string path_ = "$";
  std::size_t depth_ = 0;  // the number of names in path_
};

class Printer {
 public:
  Printer(AtomicFile& out, const std::vector<Tensor>& tensors, Encoding encoding)
      : out_(out), tensors_(tensors), encoding_(encoding) {
    out_.keep_sum();
  }

  /// Prints an object without its closing brace. `depth` is that of its keys.
  void open_object(const Object& object, std::size_t depth) {
    out_.put('{');
    bool first = true;
    for (const auto& [key, value] : object) {
      if (!std::exchange(first, false)) out_.put(',');
      new_line(out_, 2 * depth);
      text(key);
      out_.put(": ");
      print(value, depth);
    }
  }
  void integer(std::int64_t v) { out_.wrote(checkpoint::print(out_.room(number_room), v)); }
  void text(const std::string& v) { out_.put(nlohmann::json(v).dump()); }

 private:
  void print(const Json& value, std::size_t depth) {
    const auto print_it = [&](const auto& v) { print(v, depth); };
    std::visit(print_it, static_cast<const Json::variant&>(value));
  }
  void print(std::nullptr_t, std::size_t) { out_.put("null"); }
  void print(bool v, std::size_t) { out_.put(v ? "true" : "false"); }
  void print(std::int64_t v, std::size_t) { integer(v); }
  void print(std::uint64_t v, std::size_t) { out_.put(std::to_string(v)); }
  void print(double v, std::size_t) { out_.wrote(print_real(out_.room(number_room), v)); }
  void print(const std::string& v, std::size_t) { text(v); }
  void print(const Object& object, std::size_t depth) {
    if (states_a_type(object)) {  // {"f64": "nan"} is on one line
      out_.put('{');
      text(object.front().first);
      out_.put(": ");
      print(object.front().second, depth);
    } else {
      open_object(object, depth + 1);
      if (!object.empty()) new_line(out_, 2 * depth);
    }
    out_.put('}');
  }
  static bool states_a_type(const Object& object) {
    constexpr std::string_view types[] = {"f64", "i64", "string"};
    return object.size() == 1 && !object.front().second.is<Object>() &&
           std::find(std::begin(types), std::end(types), object.front().first) != std::end(types);
  }
  // On one line, or on lines of a fixed number of entries.
  template <class T>
  void print(const std::vector<T>& entries, std::size_t depth) {
    constexpr std::size_t per_line = std::is_same_v<T, std::int64_t> ? 16 : 8;
    const bool broken = entries.size() > per_line;
    out_.put('[');
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i != 0) out_.put(broken && i % per_line == 0 ? "," : ", ");
      if (broken && i % per_line == 0) new_line(out_, 2 * (depth + 1));
      print(entries[i], depth);
    }
    if (broken) new_line(out_, 2 * depth);
    out_.put(']');
  }
  void print(Reference r, std::size_t depth) { tensor(tensors_[r.index], depth); }
  void tensor(const Tensor& t, std::size_t depth) {
    if (encoding_ == Encoding::base64)
      write_base64(out_, t);
    else
      write_decimals(out_, t, 2 * (depth + 1));
  }

  AtomicFile& out_;
  const std::vector<Tensor>& tensors_;
  Encoding encoding_;
};

}  // namespace

void write(const Document& document, const std::filesystem::path& path, const SaveOptions& options) {
  std::vector<Tensor> tensors;
  const Object json = Writer(options.encoding, tensors).document(document);
  sweep_temporaries(path.parent_path(), path.filename().string() + ".");  // leftovers of killed saves
  AtomicFile file("[checkpoint] save:", path);
  Printer printer(file, tensors, options.encoding);
  printer.open_object(json, 1);
  file.put(",");
  new_line(file, 2);
  const std::uint32_t sum = file.sum();
  file.put("\"crc32\": ");
  printer.integer(sum);
  file.put("\n}\n");
  file.commit();
}

}  // namespace vg::checkpoint
