#include "voxgrad/framework/formats/safetensors_header.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/base/shape.hpp"

namespace vg::detail {

namespace {

/// Checks nlohmann's events against the header's grammar. Unexpected events throw, which also bounds the nesting.
class Walker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Walker(SafetensorsHeader& out) : out_(out) {}

  bool null() override { unexpected("null"); }
  bool boolean(bool v) override { unexpected(v ? "true" : "false"); }
  bool number_integer(std::int64_t v) override { unexpected(fmt::format("{}", v)); }
  bool number_float(double, const std::string& text) override { unexpected(text.substr(0, 40)); }
  bool binary(nlohmann::json::binary_t&) override { unexpected("binary data"); }

  bool number_unsigned(std::uint64_t v) override {
    if ((at_ != At::shape && at_ != At::offsets) || v > INT64_MAX) unexpected(fmt::format("{}", v));
    SafetensorsEntry& entry = out_.tensors.back();
    if (at_ == At::shape) {
      if (entry.shape.size() == Shape::max_rank) fault(fmt::format("has more than {} dimensions", Shape::max_rank));
      entry.shape.push_back(static_cast<std::int64_t>(v));
    } else {
      if (offsets_ == 2) fault("\"data_offsets\" has more than two entries");
      entry.offsets[offsets_++] = static_cast<std::int64_t>(v);
    }
    return true;
  }

  bool string(std::string& v) override {
    if (at_ == At::metadata)
      out_.metadata.back().second = v;
    else if (at_ == At::entry && key_ == "dtype")
      out_.tensors.back().dtype = v;
    else
      unexpected(in_quotes(v));
    return true;
  }

  bool start_object(std::size_t) override {
    if (at_ == At::outside)
      at_ = At::top;
    else if (at_ == At::top && key_ == "__metadata__")
      at_ = At::metadata;
    else if (at_ == At::top)
      start_entry();
    else
      unexpected("an object");
    return true;
  }

  bool start_array(std::size_t) override {
    if (at_ == At::entry && key_ == "shape")
      at_ = At::shape;
    else if (at_ == At::entry && key_ == "data_offsets")
      at_ = At::offsets;
    else
      unexpected("a list");
    return true;
  }

  bool end_array() override {
    at_ = At::entry;
    return true;
  }

  bool end_object() override {
    if (at_ == At::entry) {
      for (const char* name : {"dtype", "shape", "data_offsets"})
        if (!entry_keys_.contains(name)) fault(fmt::format("\"{}\" is missing", name));
      if (offsets_ != 2) fault("\"data_offsets\" does not have two entries");
    }
    at_ = at_ == At::top ? At::outside : At::top;
    return true;
  }

  bool key(std::string& name) override {
    auto& keys = at_ == At::top ? names_ : at_ == At::metadata ? metadata_keys_ : entry_keys_;
    if (!keys.insert(name).second) {
      if (at_ == At::top) throw HeaderFault(fmt::format("its header has the key {} twice", in_quotes(name)));
      fault(fmt::format("has the key {} twice", in_quotes(name)));
    }
    if (at_ == At::entry && name != "dtype" && name != "shape" && name != "data_offsets")
      fault(fmt::format("has the key {}; \"dtype\", \"shape\" and \"data_offsets\" are allowed", in_quotes(name)));
    if (at_ == At::metadata) out_.metadata.emplace_back(name, "");
    if (at_ == At::top) top_key_ = name;
    key_ = name;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& e) override {
    // Remove the prefix of "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": our
    // message gives the position.
    std::string_view text = e.what();
    text.remove_prefix(std::min(text.size(), text.find(": ") + 2));
    throw HeaderFault(fmt::format("its header is not JSON: at byte {}: {}{}", position, text.substr(0, 240),
                                  text.size() > 240 ? "..." : ""));
  }

 private:
  enum class At { outside, top, metadata, entry, shape, offsets };

  void start_entry() {
    out_.tensors.push_back({.name = key_, .dtype = {}, .shape = {}});
    entry_keys_.clear();
    offsets_ = 0;
    at_ = At::entry;
  }
  [[noreturn]] void fault(const std::string& what) const {
    throw HeaderFault(at_ == At::metadata ? "its \"__metadata__\" " + what
                                          : fmt::format("tensor {}: {}", in_quotes(top_key_), what));
  }
  [[noreturn]] void unexpected(const std::string& got) const {
    switch (at_) {
      case At::outside:
        throw HeaderFault(fmt::format("its header is {}; it must be an object", got));
      case At::top:
        throw HeaderFault(fmt::format("its header has {} for {}; it must be an object", got, in_quotes(key_)));
      case At::metadata:
        throw HeaderFault(fmt::format("its \"__metadata__\" has {} for {}; it must be a string", got, in_quotes(key_)));
      case At::entry:
        fault(fmt::format("\"{}\" is {}; it must be {}", key_, got, key_ == "dtype" ? "a string" : "a list"));
      default:
        fault(fmt::format("\"{}\" has the entry {}; it must be a whole number from 0 to 2^63 - 1", key_, got));
    }
  }

  SafetensorsHeader& out_;
  At at_ = At::outside;
  std::string key_, top_key_;
  std::size_t offsets_ = 0;
  std::set<std::string> names_, metadata_keys_, entry_keys_;  // ordered: see Builder::Frame in checkpoint/read.cpp
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text) {
  if (!text.starts_with('{'))
    throw HeaderFault(fmt::format("its header begins with {}; it must begin with {{", in_quotes(text.substr(0, 1))));
  // nlohmann's lexer takes a zero byte for the end of the text.
  if (text.find('\0') != std::string_view::npos) throw HeaderFault("its header is not JSON: it has a zero byte");
  SafetensorsHeader header;
  Walker walker(header);
  nlohmann::json::sax_parse(text.begin(), text.end(), &walker);
  return header;
}

}  // namespace vg::detail
