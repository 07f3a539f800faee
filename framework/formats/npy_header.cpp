#include "voxgrad/framework/formats/npy_header.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "voxgrad/framework/base/quote.hpp"

namespace vg::detail {

namespace {

struct TypeRow {
  std::string_view name;
  FileDType type;
};
constexpr TypeRow type_rows[] = {{"f4", FileDType::f32}, {"f8", FileDType::f64},     {"i4", FileDType::i32},
                                 {"f2", FileDType::f16}, {"b1", FileDType::boolean}, {"u1", FileDType::u8},
                                 {"i1", FileDType::i8},  {"u2", FileDType::u16},     {"i2", FileDType::i16},
                                 {"u4", FileDType::u32}, {"u8", FileDType::u64},     {"i8", FileDType::i64}};

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  NpyHeader header() {
    expect('{', "a dict");
    for (skip(); !take('}'); skip()) {
      field();
      skip();
      if (take(',')) continue;
      expect('}', "a comma or the end of the dict");
      break;
    }
    if (rest_.find_first_not_of(' ') != rest_.size() - 1 || rest_.empty() || rest_.back() != '\n')
      fault("only spaces and one newline may follow the dict");
    for (const auto& [seen, name] : {std::pair(descr_, "descr"), {order_, "fortran_order"}, {shape_, "shape"}})
      if (!seen) fault(fmt::format("the key '{}' is missing", name));
    return check_bytes();
  }

 private:
  [[noreturn]] static void fault(const std::string& what) { throw NpyFault("its header: " + what); }
  void skip() { rest_.remove_prefix(std::min(rest_.size(), rest_.find_first_not_of(' '))); }
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c, const char* what) {
    skip();
    if (!take(c)) fault(fmt::format("got {}; {} is expected", in_quotes(rest_.substr(0, 12)), what));
  }

  std::string_view text() {
    skip();
    const char quote = rest_.starts_with('"') ? '"' : '\'';
    if (!take(quote)) fault(fmt::format("got {}; a string is expected", in_quotes(rest_.substr(0, 12))));
    const std::size_t end = rest_.find(quote);
    const std::string_view inside = rest_.substr(0, end);
    if (end == std::string_view::npos || inside.find_first_of("\\\n") != std::string_view::npos)
      fault(fmt::format("the string {} does not end, or has escapes", in_quotes(inside)));
    rest_.remove_prefix(end + 1);
    return inside;
  }

  void once(bool& seen, std::string_view name) {
    if (seen) fault(fmt::format("the key '{}' appears twice", name));
    seen = true;
  }

  void field() {
    const std::string_view name = text();
    expect(':', "a colon");
    skip();
    if (name == "descr") {
      once(descr_, name);
      if (rest_.starts_with('[')) fault("'descr' is a list: arrays of records are not read");
      descr(text());
    } else if (name == "fortran_order") {
      once(order_, name);
      out_.fortran_order = truth();
    } else if (name == "shape") {
      once(shape_, name);
      shape();
    } else {
      fault(fmt::format("got the key {}; 'descr', 'fortran_order' and 'shape' are allowed", in_quotes(name)));
    }
  }

  void descr(std::string_view text) {
    const char order = text.empty() ? ' ' : text.front();
    const std::string_view name = text.substr(std::min<std::size_t>(1, text.size()));
    if (order != '<' && order != '>' && order != '|')
      fault(fmt::format("'descr' is {}; it must begin with the byte order, < > or |", in_quotes(text)));
    if (name.starts_with('O')) fault("'descr' is an object type: pickled Python objects are never read");
    const TypeRow* row =
        std::find_if(std::begin(type_rows), std::end(type_rows), [&](const TypeRow& r) { return r.name == name; });
    if (row == std::end(type_rows))
      fault(fmt::format("'descr' is {}; f2, f4, f8, b1, i1 to i8 and u1 to u8 are read", in_quotes(text)));
    out_.type = row->type;
    if (order == '|' && size_of(out_.type) > 1)
      fault(fmt::format("'descr' is {}, without a byte order", in_quotes(text)));
    out_.swapped = order == '>' && size_of(out_.type) > 1;
  }

  bool truth() {
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    fault(fmt::format("'fortran_order' is {}; it must be True or False", in_quotes(rest_.substr(0, 12))));
  }

  void shape() {
    expect('(', "a tuple");
    bool comma = true;  // the first extent needs no comma before it
    for (skip(); !take(')'); skip()) {
      if (!comma) fault(fmt::format("'shape' has {}; a comma or ) is expected", in_quotes(rest_.substr(0, 12))));
      if (out_.shape.rank() == Shape::max_rank)
        fault(fmt::format("'shape' has more than {} dimensions", Shape::max_rank));
      out_.shape.push_back(extent());
      skip();
      comma = take(',');
    }
    if (out_.shape.rank() == 1 && !comma) fault("'shape' is a number in brackets; a tuple of one has a comma");
  }

  std::int64_t extent() {
    std::int64_t value = 0;
    const char* const end = rest_.data() + rest_.size();
    const bool digit = !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9';
    const auto [stop, error] = std::from_chars(rest_.data(), end, value);
    if (!digit || error != std::errc() || (rest_.front() == '0' && stop != rest_.data() + 1))
      fault(
          fmt::format("'shape' has {}; whole numbers from 0 to 2^63 - 1 are expected", in_quotes(rest_.substr(0, 24))));
    rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()));
    return value;
  }

  NpyHeader check_bytes() {
    const auto bytes = bytes_of(out_.type, {out_.shape.begin(), out_.shape.end()});
    if (!bytes) fault(fmt::format("shape {} needs more than 2^63 - 1 bytes", out_.shape.str()));
    out_.bytes = *bytes;
    return out_;
  }

  std::string_view rest_;
  NpyHeader out_;
  bool descr_ = false, order_ = false, shape_ = false;
};

/// A shape as numpy prints it: "()", "(3,)", "(3, 4)".
std::string tuple_text(const Shape& shape) {
  return fmt::format("({}{})", fmt::join(shape.begin(), shape.end(), ", "), shape.rank() == 1 ? "," : "");
}

}  // namespace

std::size_t npy_length_bytes(std::string_view prefix) {
  if (!prefix.starts_with("\x93NUMPY")) throw NpyFault("it is not a .npy file: its magic is missing");
  const int major = static_cast<unsigned char>(prefix[6]), minor = static_cast<unsigned char>(prefix[7]);
  if (major < 1 || major > 3 || minor != 0)
    throw NpyFault(fmt::format("its .npy version is {}.{}; 1.0, 2.0 and 3.0 are read", major, minor));
  return major == 1 ? 2 : 4;
}

NpyHeader parse_npy_header(std::string_view text) { return Parser(text).header(); }

std::string make_npy_header(const Tensor& tensor) {
  const char* descr = tensor.dtype() == f64 ? "<f8" : tensor.dtype() == f32 ? "<f4" : "<i4";
  std::string dict =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", descr, tuple_text(tensor.shape()));
  // Leave room for the first extent to grow to 21 digits, as numpy does; then align the total to 64 bytes.
  if (tensor.rank() > 0) dict.append(21 - std::to_string(tensor.dim(0)).size(), ' ');
  const std::size_t total = (npy_prefix_bytes + dict.size() + 1 + 63) / 64 * 64;
  dict.append(total - npy_prefix_bytes - dict.size() - 1, ' ');
  dict += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(dict.size() & 0xff);
  out += static_cast<char>(dict.size() >> 8);
  return out + dict;
}

}  // namespace vg::detail
