// Prints a checkpoint: nlohmann prints names and plain values, this file their places, and payload.cpp the values of
// tensors.
#include <algorithm>
#include <iterator>
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

class Printer {
 public:
  Printer(AtomicFile& out, const std::vector<Tensor>& tensors, Encoding encoding)
      : out_(out), tensors_(tensors), encoding_(encoding) {
    out_.keep_sum();
  }

  /// Prints an object without its closing brace. `depth` is that of its keys.
  void open_object(const Object& object, std::size_t depth, const std::string& path) {
    // one more level for an array within the object
    if (depth + 1 > static_cast<std::size_t>(max_depth))
      throw ValueError(fmt::format("[checkpoint] save: {} is nested more than {} deep", in_quotes(path), max_depth));
    out_.put('{');
    bool first = true;
    for (const auto& [key, value] : object) {
      if (!std::exchange(first, false)) out_.put(',');
      new_line(out_, 2 * depth);
      const std::string at = path + "." + key;
      text(key, at);
      out_.put(": ");
      print(value, depth, at);
    }
  }
  void integer(std::int64_t v) { out_.wrote(checkpoint::print(out_.room(number_room), v)); }
  void text(const std::string& v, const std::string& path) {
    if (v.size() > max_text)
      throw ValueError(fmt::format("[checkpoint] save: the string at {} has {} bytes; a checkpoint allows {}",
                                   in_quotes(path), v.size(), max_text));
    if (!is_utf8(v)) throw ValueError(fmt::format("[checkpoint] save: the string at {} is not UTF-8", in_quotes(path)));
    out_.put(nlohmann::json(v).dump());
  }

 private:
  void print(const Json& value, std::size_t depth, const std::string& path) {
    const auto print_it = [&](const auto& v) { print(v, depth, path); };
    std::visit(print_it, static_cast<const Json::variant&>(value));
  }
  void print(std::nullptr_t, std::size_t, const std::string&) { out_.put("null"); }
  void print(bool v, std::size_t, const std::string&) { out_.put(v ? "true" : "false"); }
  void print(std::int64_t v, std::size_t, const std::string&) { integer(v); }
  void print(std::uint64_t v, std::size_t, const std::string&) { out_.put(std::to_string(v)); }
  void print(double v, std::size_t, const std::string&) { out_.wrote(print_real(out_.room(number_room), v)); }
  void print(const std::string& v, std::size_t, const std::string& path) { text(v, path); }
  void print(const Object& object, std::size_t depth, const std::string& path) {
    if (states_a_type(object)) {  // {"f64": "nan"} is on one line
      out_.put('{');
      text(object.front().first, path);
      out_.put(": ");
      print(object.front().second, depth, path);
    } else {
      open_object(object, depth + 1, path);
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
  void print(const std::vector<T>& entries, std::size_t depth, const std::string& path) {
    constexpr std::size_t per_line = std::is_same_v<T, std::int64_t> ? 16 : 8;
    const bool broken = entries.size() > per_line;
    out_.put('[');
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i != 0) out_.put(broken && i % per_line == 0 ? "," : ", ");
      if (broken && i % per_line == 0) new_line(out_, 2 * (depth + 1));
      print(entries[i], depth, path);
    }
    if (broken) new_line(out_, 2 * depth);
    out_.put(']');
  }
  void print(Reference r, std::size_t depth, const std::string&) { tensor(tensors_[r.index], depth); }
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
  const Object json = to_json(document, options.encoding, tensors);
  sweep_temporaries(path.parent_path(), path.filename().string() + ".");  // leftovers of killed saves
  AtomicFile file("[checkpoint] save:", path);
  Printer printer(file, tensors, options.encoding);
  printer.open_object(json, 1, "$");
  file.put(",");
  new_line(file, 2);
  const std::uint32_t sum = file.sum();
  file.put("\"crc32\": ");
  printer.integer(sum);
  file.put("\n}\n");
  file.commit();
}

}  // namespace vg::checkpoint
