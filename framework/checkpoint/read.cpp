// Reads a checkpoint. nlohmann's parser pulls the text of the file one byte at a time; the values of tensors never
// reach it. Where a tensor's "values" open, the iterator hands the input to payload.cpp, which stops before the closing
// bracket or quote, so that the parser finds an empty array or string. The events of the parser make a Json (json.hpp).
#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/json.hpp"
#include "voxgrad/framework/checkpoint/payload.hpp"
#include "voxgrad/framework/system/file_signature.hpp"

namespace vg::checkpoint {

namespace {

constexpr const char* cannot_read = "[checkpoint] load: cannot read";

/// The events of nlohmann's parser (its SAX interface). They build a Json; nlohmann's own builder would take quadratic
/// time for objects of many keys, and has neither limits nor paths.
class Builder {
 public:
  /// `stop` is the path of a value where parsing ends; see error_at_value.
  explicit Builder(InputFile& in, std::string stop = {}) : in_(in), stop_(std::move(stop)) {}

  bool null() { return scalar(nullptr); }
  bool boolean(bool v) { return scalar(v); }
  bool number_integer(std::int64_t v) { return scalar(v); }
  bool number_unsigned(std::uint64_t v) { return v >> 63 == 0 ? scalar(static_cast<std::int64_t>(v)) : scalar(v); }
  bool number_float(double v, const std::string& text) {
    if (text.find_first_of(".eE") == std::string::npos)  // nlohmann makes a real of an integer of more than 64 bits
      fail_at_value(fmt::format("got {}; must be an integer of at most 64 bits, without fraction or exponent", text));
    return scalar(v);
  }
  bool string(std::string& v) {
    check_size(v);
    return scalar(std::move(v));
  }
  bool binary(nlohmann::json::binary_t&) { return false; }  // JSON text has none
  bool start_object(std::size_t) { return open(Object()); }
  bool start_array(std::size_t) { return open(Array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name);
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) {
    // Remove the prefix of "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": the
    // parser's position does not count the values of tensors.
    std::string_view text = e.what();
    text.remove_prefix(
        std::min(text.size(), text.find(text.starts_with("[json.exception.parse_error") ? ": " : "] ") + 2));
    throw ParseError(escaped(text.substr(0, 240)) + (text.size() > 240 ? "..." : ""));
  }

  /// Called for each byte that the parser has taken.
  void passed(char c) {
    if (c == '\0')
      throw ParseError("syntax error: unexpected \"\\x00\"");  // the parser takes it for the end of the text
    if (armed_ && c != ':' && c != ' ' && c != '\n' && c != '\r' && c != '\t') read_payload(c);
  }

  Json& json() { return json_; }
  std::vector<Tensor>& tensors() { return tensors_; }
  std::string path() const {
    const std::string path = path_in(stack_.size());
    return entry_ >= 0 ? path_of(path, static_cast<std::size_t>(entry_)) : path;
  }

 private:
  struct Frame {
    Json* node;
    std::optional<std::string> key{};
    std::size_t count = 0;
    std::set<std::string> keys{};  // ordered: in a hashed set, keys of equal hashes would take quadratic time
  };

  // The path that the first `depth` open objects and arrays lead to.
  std::string path_in(std::size_t depth) const {
    std::string path = "$";
    for (std::size_t i = 0; i < depth; ++i)
      if (const Frame& f = stack_[i]; f.key)
        path = path_of(path, *f.key);
      else if (f.count != 0)
        path = path_of(path, f.count - 1);
    return path;
  }

  bool scalar(Json value) {
    put(std::move(value));
    return !stopped();
  }
  bool open(Json value) {
    Json& node = put(std::move(value));
    if (stack_.size() == static_cast<std::size_t>(max_depth))
      throw ParseError(fmt::format("the file is nested more than {} deep", max_depth));
    const bool stop = stopped();
    stack_.push_back({&node});
    return !stop;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }
  bool stopped() const { return !stop_.empty() && path() == stop_; }
  [[noreturn]] void fail_at_value(const std::string& what) {
    put(nullptr);  // so that path() names this value
    throw ParseError(what);
  }
  static void check_size(const std::string& text) {
    if (text.size() > max_text) throw ParseError(fmt::format("the string has more than {} bytes", max_text));
  }

  Json& put(Json value) {
    if (payload_) value = Reference{*std::exchange(payload_, std::nullopt)};
    if (stack_.empty()) return json_ = std::move(value);
    Frame& top = stack_.back();
    ++top.count;
    auto* const object = top.node->as<Object>();
    if (object == nullptr) return append(*top.node, std::move(value));
    if (stack_.size() == 1) check_head(*top.key, value);
    return object->emplace_back(*top.key, std::move(value)).second;
  }

  // What the rest of the file cannot be read without, and the checksum of all before it.
  void check_head(const std::string& name, const Json& value) {
    if (name == "format") check_format(value);
    if (name == "version") check_version(value);
    if (name != "crc32") return;
    const std::int64_t said = as_integer(value), found = sum_;
    if (said != found)
      throw ParseError(
          fmt::format("the CRC-32 of all bytes before it is {}, the file says {}: the file is damaged, or was "
                      "changed by hand; to load it as it is, remove this key",
                      found, said));
  }

  bool in_tensor() const;
  void read_payload(char opener);

  InputFile& in_;
  std::string stop_;
  Json json_;
  std::vector<Tensor> tensors_;
  std::vector<Frame> stack_;
  std::uint32_t sum_ = 0;
  bool armed_ = false;                  // the next value is a tensor's "values"
  std::optional<std::size_t> payload_;  // the tensor that was just read
  std::int64_t entry_ = -1;
};

bool Builder::key(std::string& name) {
  check_size(name);
  Frame& top = stack_.back();
  top.key = name;
  if (top.keys.size() == max_keys) throw ParseError(fmt::format("the object has more than {} keys", max_keys));
  if (!top.keys.insert(name).second)
    throw ParseError(fmt::format("the key {} appears twice in this object", in_quotes(name)));
  if (stack_.size() == 1) {
    constexpr std::string_view head[] = {"format", "version"}, sum = "\"crc32\"";
    for (std::size_t i = 0; i < std::min(std::size(head), top.keys.size()); ++i)
      if (!top.keys.contains(std::string(head[i])))
        throw ParseError(fmt::format("got the key {}; \"{}\" must come before it", in_quotes(name), head[i]));
    if (name != "crc32" && top.keys.contains("crc32"))
      throw ParseError("\"crc32\" must be the last key of the file: it is the sum of all before it");
    if (name == "crc32") sum_ = in_.sum_before(sum.size());
  }
  if (name == "encoding" && top.keys.contains("values") && in_tensor())
    throw ParseError("\"encoding\" must come before \"values\"");
  armed_ = name == "values" && in_tensor();
  return true;
}

// Whether the innermost object is a tensor: states.*.leaves.* of a model, or tensors.* of a state dict.
bool Builder::in_tensor() const {
  const std::size_t depth = stack_.size() - 1;  // the number of keys that lead to the object
  const auto is = [&](std::size_t i, std::string_view key) { return i < depth && *stack_[i].key == key; };
  const bool named_model = is(0, "models"), named_part = is(0, "optimizers") || is(0, "parts");
  if (is(0, "model") || named_model) {
    const std::size_t at = named_model ? 2 : 1;
    return depth == at + 4 && is(at, "states") && is(at + 2, "leaves");
  }
  std::size_t at = named_part ? 2 : 1;
  if (!named_part && !is(0, "optimizer")) return false;
  while (is(at, "parts")) at += 2;
  return depth == at + 2 && is(at, "tensors");
}

void Builder::read_payload(char opener) {
  armed_ = false;
  if (opener != '[' && opener != '"') return;  // json.cpp reports it
  const TensorHeader header = header_of(*stack_.back().node->as<Object>(), path_in(stack_.size() - 1));
  if (header.encoding == Encoding::base64) {
    if (opener == '[') throw ParseError("got an array; must be a string, as \"encoding\" is \"base64\"");
    tensors_.push_back(read_base64(in_, header.shape, header.dtype));
  } else {
    if (opener == '"') return;
    tensors_.push_back(read_decimals(in_, header.shape, header.dtype, entry_));
  }
  payload_ = tensors_.size() - 1;
}

/// The text of the file for nlohmann's parser, an input iterator.
class Text {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  Text() = default;  ///< the end
  Text(InputFile& in, Builder& builder) : in_(&in), builder_(&builder) {}

  char operator*() const { return *in_->begin(); }
  Text& operator++() {
    const char c = *in_->begin();
    in_->advance(in_->begin() + 1);
    builder_->passed(c);
    return *this;
  }
  Text operator++(int) { return ++*this; }
  /// `end` is Text().
  bool operator==(const Text& /*end*/) const { return !in_->more(); }

 private:
  InputFile* in_ = nullptr;
  Builder* builder_ = nullptr;
};

void parse(InputFile& file, Builder& builder) { nlohmann::json::sax_parse(Text(file, builder), Text(), &builder); }

// Throws for a file of another format. Other JSON is recognised by its keys, later.
void check_is_json(InputFile& file, const std::filesystem::path& path) {
  file.need(detail::signature_bytes);
  const std::string_view first(file.begin(), file.end());
  const std::string guess = detail::looks_like(first);
  const std::size_t text = first.find_first_not_of(" \t\r\n");
  if (guess.empty() || (first[text] == '{' && !guess.ends_with("safetensors"))) return;
  throw IoError(fmt::format("[checkpoint] load: {}: this is not a checkpoint, which is JSON{}", path.string(), guess));
}

IoError error_at(const InputFile& file, const std::filesystem::path& path, const std::string& at, const char* what) {
  return IoError(fmt::format("[checkpoint] load: {}: line {}, byte {}, at {}: {}", path.string(), file.line(),
                             file.offset(), at, what));
}

// The error for the value at e.path of a file that was parsed: the file is parsed again up to it.
IoError error_at_value(const std::filesystem::path& path, const ParseError& e) {
  InputFile file(cannot_read, path);
  Builder builder(file, e.path);
  try {
    parse(file, builder);
  } catch (const ParseError& other) {  // the file was changed meanwhile
    return error_at(file, path, builder.path(), other.what());
  }
  return error_at(file, path, e.path, e.what());
}

// An option of a layer that has another name since `version`.
struct RenamedOption {
  int version;
  std::string_view kind, before, now;
};
constexpr RenamedOption renamed_options[] = {{3, "Dropout", "prob", "keep_prob"},
                                             {3, "SpatialDropout3d", "prob", "keep_prob"}};

// Gives the options in a file of that version the names that they have now.
void upgrade(ModuleConfig& module, int version) {
  for (const RenamedOption& r : renamed_options)
    if (version < r.version && module.kind == r.kind)
      for (auto& [name, value] : module.options)
        if (name == r.before) name = r.now;
  for (auto& [name, child] : module.children) upgrade(child, version);
}

}  // namespace

Document read(const std::filesystem::path& path) {
  InputFile file(cannot_read, path);
  check_is_json(file, path);
  Builder builder(file);
  Document document;
  try {
    parse(file, builder);
    document = from_json(builder.json(), builder.tensors());
  } catch (const ParseError& e) {
    if (e.path.empty()) throw error_at(file, path, builder.path(), e.what());
    throw error_at_value(path, e);
  }
  if (document.model) upgrade(document.model->description, document.version);
  for (auto& [name, model] : document.models) upgrade(model.description, document.version);
  return document;
}

}  // namespace vg::checkpoint
