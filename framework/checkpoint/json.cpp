#include "voxgrad/framework/checkpoint/json.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/text.hpp"

namespace vg::checkpoint {

namespace {

constexpr std::size_t longest_number = 4096;

class Reader {
 public:
  Reader(InputFile& in, Walker& walker) : in_(in), walker_(walker) {}

  void document() {
    value();
    space();
    if (in_.more()) throw unexpected("the end of the file");
  }

 private:
  void value() {
    space();
    switch (peek()) {
      case '{':
        return object();
      case '[':
        return list();
      case '"':
        return text_value();
      case 't':
        return literal("true", {.kind = Scalar::Kind::boolean, .truth = true});
      case 'f':
        return literal("false", {.kind = Scalar::Kind::boolean, .truth = false});
      case 'n':
        return literal("null", {});
      default:
        return number();
    }
  }

  void object() {
    walker_.open(Opened::object);
    skip();
    space();
    if (peek() != '}') {
      do {
        space();
        if (peek() != '"') throw unexpected("a key");
        if (walker_.depth() == 1) in_.mark();
        skip();
        text();
        walker_.key(text_);
        space();
        if (peek() != ':') throw unexpected("':'");
        skip();
        value();
      } while (comma());
      if (peek() != '}') throw unexpected("',' or '}'");
    }
    skip();
    walker_.close();
  }

  void list() {
    walker_.open(Opened::list);
    skip();
    space();
    if (peek() != ']') {
      do {
        walker_.read_payload_entries(in_);
        value();
      } while (comma());
      if (peek() != ']') throw unexpected("',' or ']'");
    }
    skip();
    walker_.close();
  }

  void text_value() {
    skip();
    if (walker_.read_payload_string(in_)) {
      if (peek() != '"') throw unexpected("'\"'");
      return skip();
    }
    text();
    walker_.scalar({.kind = Scalar::Kind::text, .text = text_});
  }

  void literal(std::string_view word, const Scalar& s) {
    for (const char c : word) {
      if (peek() != c) throw unexpected(word);
      skip();
    }
    walker_.scalar(s);
  }

  void number() {
    in_.need(longest_number + 1);
    bool integer = false;
    const char* const end = number_end(in_.begin(), integer);
    if (end == nullptr) throw bad_number();
    const std::string_view digits(in_.begin(), static_cast<std::size_t>(end - in_.begin()));
    if (digits.size() > longest_number)
      throw ParseError(fmt::format("the number has more than {} bytes", longest_number));
    const Scalar s = integer ? integer_of(digits) : Scalar{.kind = Scalar::Kind::real, .text = digits};
    in_.advance(end);  // the window does not move, so `digits` stays valid
    walker_.scalar(s);
  }

  // A number of more than 64 bits is read as a real.
  static Scalar integer_of(std::string_view digits) {
    Scalar s{.kind = Scalar::Kind::natural, .text = digits};
    const auto read = [&](auto& to) {
      return std::from_chars(digits.data(), digits.data() + digits.size(), to).ec == std::errc();
    };
    if (digits.front() == '-') s.kind = Scalar::Kind::negative;
    if (!(digits.front() == '-' ? read(s.negative) : read(s.natural))) s.kind = Scalar::Kind::real;
    return s;
  }

  // Reads the contents of a string and its closing quote into text_.
  void text() {
    text_.clear();
    for (;;) {
      if (!in_.more()) throw unexpected("'\"'");
      const char* p = in_.begin();
      const auto plain = [](char c) {
        return c >= 0x20 && c != '"' && c != '\\';
      };  // char is signed, so bytes above 0x7f are excluded
      while (plain(*p)) ++p;
      text_.append(in_.begin(), p);
      in_.advance(p);
      if (text_.size() > max_text) throw ParseError(fmt::format("the string has more than {} bytes", max_text));
      if (!in_.more()) continue;
      switch (*in_.begin()) {
        case '"':
          return skip();
        case '\\':
          escape();
          break;
        default:
          other();
      }
    }
  }

  // Handles a byte that is not plain ASCII.
  void other() {
    if (static_cast<unsigned char>(peek()) < 0x20) {
      const int c = peek();
      skip();
      throw ParseError(
          fmt::format("got the control character \\x{:02x} within a string; it must be escaped: \\u{:04x}", c, c));
    }
    in_.need(4);
    const std::size_t n = utf8_sequence({in_.begin(), static_cast<std::size_t>(in_.end() - in_.begin())});
    if (n == 0) {
      skip();
      throw ParseError("the string is not UTF-8");
    }
    text_.append(in_.begin(), n);
    in_.advance(in_.begin() + n);
  }

  void escape() {
    skip();
    const char c = peek();
    constexpr std::string_view names = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
      skip();
      return append_utf8(escaped_code());
    }
    const std::size_t i = names.find(c);
    if (i == names.npos || !in_.more()) throw unexpected("one of \"\\/bfnrtu after a backslash");
    skip();
    text_ += meant[i];
  }

  unsigned hex4() {
    unsigned code = 0;
    for (int i = 0; i < 4; ++i) {
      constexpr std::string_view low = "0123456789abcdef", high = "0123456789ABCDEF";
      const char c = peek();
      const std::size_t digit = std::min(low.find(c), high.find(c));
      if (digit == low.npos) throw unexpected("a hexadecimal digit");
      skip();
      code = code << 4 | static_cast<unsigned>(digit);
    }
    return code;
  }
  unsigned escaped_code() {
    const unsigned first = hex4();
    if (first < 0xd800 || first > 0xdfff) return first;
    in_.need(2);
    if (first < 0xdc00 && std::string_view(in_.begin(), in_.end()).starts_with("\\u")) {
      in_.advance(in_.begin() + 2);
      if (const unsigned second = hex4(); second >= 0xdc00 && second <= 0xdfff)
        return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }
    throw ParseError("an escaped surrogate lacks its other half");
  }
  void append_utf8(unsigned code) {
    const auto put = [&](unsigned byte) { text_ += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xc0 | code >> 6);
    } else {
      if (code < 0x10000) {
        put(0xe0 | code >> 12);
      } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 63));
      }
      put(0x80 | (code >> 6 & 63));
    }
    put(0x80 | (code & 63));
  }

  /// Returns zero at the end of the file.
  char peek() { return in_.more() ? *in_.begin() : '\0'; }
  void skip() { in_.advance(in_.begin() + 1); }
  void space() {
    for (char c = peek(); c == ' ' || c == '\n' || c == '\r' || c == '\t'; c = peek()) skip();
  }
  bool comma() {
    space();
    if (peek() != ',') return false;
    skip();
    return true;
  }

  // The error for unexpected bytes at the front of the window.
  ParseError unexpected(std::string_view wanted) {
    if (!in_.more()) return ParseError(fmt::format("unexpected end of the file; must be {}", wanted));
    const std::string got = in_quotes(*in_.begin());
    skip();
    return ParseError(fmt::format("syntax error: unexpected {}; must be {}", got, wanted));
  }
  ParseError bad_number() {
    const char first = peek();
    const bool begun = first == '-' || (first >= '0' && first <= '9');
    if (!begun) return unexpected("a value");
    std::string_view rest(in_.begin(), in_.end());
    rest = rest.substr(0, rest.find_first_not_of("+-.0123456789eE"));
    const ParseError error(fmt::format("syntax error: {} is not a number", in_quotes(rest)));
    in_.advance(rest.data() + rest.size());
    return error;
  }

  InputFile& in_;
  Walker& walker_;
  std::string text_;
};

}  // namespace

void read_json(InputFile& in, Walker& walker) { Reader(in, walker).document(); }

}  // namespace vg::checkpoint
