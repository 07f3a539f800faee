#include "voxgrad/framework/checkpoint/payload.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/json.hpp"
#include "voxgrad/framework/checkpoint/numbers.hpp"

namespace vg::checkpoint {

namespace {

static_assert(std::endian::native == std::endian::little, "raw values are little-endian");

// A tensor that is being filled. A shape can claim any size, so all memory is allocated at once only if the rest of the
// file can hold the values; otherwise it grows as they arrive.
class TensorBuilder {
 public:
  TensorBuilder(const Shape& shape, DType dtype) : shape_(shape), dtype_(dtype), numel_(shape.numel()) {}

  std::int64_t numel() const { return numel_; }
  std::int64_t capacity() const { return buffer_.numel(); }
  const Shape& shape() const { return shape_; }
  /// Called before the first value: at most `values` values follow.
  void expect(std::int64_t values) {
    if (!buffer_.defined()) take(std::min(numel_, values));
  }
  /// Makes room for at least one value more than capacity(), which must be less than numel().
  void grow() { take(std::min(numel_, std::max<std::int64_t>(64, 2 * capacity()))); }
  char* raw() { return static_cast<char*>(buffer_.raw()); }
  /// Returns the tensor once numel() values are read.
  Tensor whole() {
    expect(0);
    return std::move(buffer_).reshape(shape_);
  }

 private:
  void take(std::int64_t values) {
    Tensor larger({values}, dtype_);
    if (buffer_.defined() && buffer_.bytes() != 0)
      std::memcpy(larger.raw(), buffer_.raw(), static_cast<std::size_t>(buffer_.bytes()));
    buffer_ = std::move(larger);
  }

  Shape shape_;
  DType dtype_;
  std::int64_t numel_;
  Tensor buffer_;
};

// ---- decimals -----------------------------------------------------------------------------------------------------

const char* skip_space(const char* p) {
  while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') ++p;
  return p;
}

template <class T>
bool parse(const char* from, const char* to, bool integer, T& out) {
  if constexpr (std::is_integral_v<T>)
    if (!integer) return false;
  const auto result = std::from_chars(from, to, out);
  if constexpr (std::is_floating_point_v<T>)
    if (!std::isfinite(out)) return false;
  return result.ec == std::errc() && result.ptr == to;
}

template <class T>
class Decimals {
 public:
  Decimals(InputFile& in, const Shape& shape, std::int64_t& entry)
      : in_(in), builder_(shape, dtype_of<T>()), count_(entry) {}

  Tensor read() {
    builder_.expect(in_.left() / 2 + 1);  // each entry has at least a digit and a comma
    for (count_ = 0; next() != ']' || count_ != 0; pass()) {
      while (take_window()) {
      }
      add(value());
      if (next() == ']') break;
      if (next() != ',') throw unexpected("',' or ']'");
    }
    const std::int64_t count = std::exchange(count_, -1);
    if (count != builder_.numel())
      throw ParseError(
          fmt::format("there are {} values; shape {} needs {}", count, builder_.shape().str(), builder_.numel()));
    return builder_.whole();
  }

 private:
  static constexpr std::size_t longest_number = 4096;
  static constexpr const char* name = std::is_integral_v<T> ? "i32" : sizeof(T) == 4 ? "f32" : "f64";

  T* values() { return reinterpret_cast<T*>(builder_.raw()); }

  // Reads values from the window as long as each is plain, complete and followed by a comma. Returns whether more may
  // follow.
  bool take_window() {
    constexpr std::ptrdiff_t margin = longest_number;
    in_.need(2 * margin);
    const char* p = in_.begin();
    const char* const stop = in_.at_end() ? in_.end() : in_.end() - margin;
    T* to = values() + count_;
    T* const full = values() + builder_.capacity();
    const char* passed = p;
    bool integer = false, odd = false;
    while (passed < stop && to != full && !odd) {
      p = skip_space(passed);
      const char* const end = number_end(p, integer);
      odd = end == nullptr || !parse(p, end, integer, *to);
      if (odd) break;
      p = skip_space(end);
      odd = *p != ',';
      if (odd) break;
      passed = p + 1;
      ++to;
    }
    in_.advance(passed);
    count_ = to - values();
    return !odd && to != full && !in_.at_end();
  }

  // The next byte that is no white space; zero at the end of the file.
  char next() {
    while (in_.more()) {
      const char* const p = skip_space(in_.begin());
      in_.advance(p);
      if (p != in_.end()) return *p;
    }
    return '\0';
  }
  void pass() { in_.advance(in_.begin() + 1); }

  // Reads any entry: the last one, one at the end of the window, or a special or wrong one.
  T value() {
    const char first = next();
    in_.need(longest_number + 1);
    if (first == '"') return special();
    bool integer = false;
    const char* const end = number_end(in_.begin(), integer);
    if (end == nullptr) throw no_number();
    const std::string_view digits(in_.begin(), static_cast<std::size_t>(end - in_.begin()));
    if (digits.size() > longest_number)
      throw ParseError(fmt::format("the number has more than {} bytes", longest_number));
    in_.advance(end);  // the window does not move, so `digits` stays valid
    return number(digits, integer);
  }
  T number(std::string_view digits, bool integer) const {
    if constexpr (std::is_integral_v<T>) {
      T v = 0;
      if (integer && parse(digits.data(), digits.data() + digits.size(), true, v)) return v;
      throw ParseError(integer ? fmt::format("got {}, which is out of the range of i32", shortened(digits))
                               : bad(shortened(digits)));
    } else {
      const T v = sizeof(T) == 4 ? static_cast<T>(parse_float(digits)) : static_cast<T>(parse_double(digits));
      if (!std::isfinite(v))
        throw ParseError(fmt::format("got {}, which is out of the range of {}", shortened(digits), name));
      return v;
    }
  }
  T special() {
    pass();
    const std::string_view rest(in_.begin(), in_.end());
    const std::string_view text = rest.substr(0, rest.find('"'));
    in_.advance(text.data() + text.size());
    if (in_.begin() == in_.end()) throw unexpected("'\"'");
    pass();
    T v{};
    if constexpr (!std::is_integral_v<T>)
      if (parse_special(text, v)) return v;
    throw ParseError(bad(in_quotes(text)));
  }
  // The error for an entry that is no number and no string.
  ParseError no_number() {
    if (next() == '[' || next() == '{')
      return ParseError(fmt::format("got {}; must be a number", next() == '[' ? "an array" : "an object"));
    const std::string_view rest(in_.begin(), in_.end());
    const std::string_view word = rest.substr(0, rest.find_first_of(",]}[{\": \n\r\t"));
    if (word.empty()) return unexpected("a value");
    in_.advance(word.data() + word.size());
    return ParseError(fmt::format("got {}; must be a number of {}", in_quotes(word), name));
  }
  static std::string bad(const std::string& got) {
    if (std::is_integral_v<T>) return fmt::format("got {}; i32 takes integers only, without fraction or exponent", got);
    return fmt::format(
        "got {}; besides numbers {} has \"nan\", \"inf\", \"-inf\" and \"nan:0x\" with {} lower-case digits that are a "
        "NaN's bits",
        got, name, 2 * sizeof(T));
  }
  static std::string shortened(std::string_view digits) {
    return std::string(digits.substr(0, 60)) + (digits.size() <= 60 ? "" : "...");
  }
  ParseError unexpected(std::string_view wanted) {
    if (!in_.more()) return ParseError(fmt::format("unexpected end of the file; must be {}", wanted));
    const std::string got = in_quotes(*in_.begin());
    pass();
    return ParseError(fmt::format("syntax error: unexpected {}; must be {}", got, wanted));
  }

  void add(T value) {
    if (count_ == builder_.numel())
      throw ParseError(fmt::format("there are more values than the {} of shape {}", count_, builder_.shape().str()));
    if (count_ == builder_.capacity()) builder_.grow();
    values()[count_++] = value;
  }

  InputFile& in_;
  TensorBuilder builder_;
  std::int64_t& count_;
};

// ---- base64 -------------------------------------------------------------------------------------------------------

bool is_base64(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' || c == '=';
}

// Reads the contents of a base64 string, up to its closing quote.
class Base64 {
 public:
  Base64(InputFile& in, const Shape& shape, DType dtype)
      : in_(in),
        builder_(shape, dtype),
        width_(size_of(dtype)),
        bytes_(builder_.numel() <= most ? builder_.numel() * width_ : 0) {}

  Tensor read() {
    while (done_ < bytes_) {
      while (builder_.capacity() * width_ < std::min(bytes_, done_ + 3)) builder_.grow();
      groups();
      if (bytes_ - done_ < 3 && done_ < bytes_) tail();
    }
    if (in_.more() && *in_.begin() != '"')
      throw ParseError(
          fmt::format("the base64 string has more than the {} bytes of shape {}", bytes_, builder_.shape().str()));
    return builder_.whole();
  }
  /// Throws if the rest of the file cannot hold the values; otherwise allocates memory for them.
  void expect() {
    const std::int64_t left = in_.left();
    if (builder_.numel() > most || builder_.numel() > left || base64_size(bytes_) > left)
      throw ParseError(fmt::format("shape {} needs {} values of {} bytes; the file has {} bytes left for their base64",
                                   builder_.shape().str(), builder_.numel(), width_, left));
    builder_.expect(builder_.numel());
  }

 private:
  unsigned char* to() { return reinterpret_cast<unsigned char*>(builder_.raw()) + done_; }

  // Decodes as many whole groups as the window and the buffer hold. Throws if a group is due and none can be decoded.
  void groups() {
    in_.need(4096);
    const std::int64_t room = (std::min(builder_.capacity() * width_, bytes_) - done_) / 3;
    const std::int64_t count = std::min<std::int64_t>(room, (in_.end() - in_.begin()) / 4);
    const auto read = static_cast<std::int64_t>(decode_base64(in_.begin(), static_cast<std::size_t>(count), to()));
    in_.advance(in_.begin() + 4 * read);
    done_ += 3 * read;
    if (read != count || (room != 0 && count == 0)) throw bad();
  }
  void tail() {
    in_.need(4);
    const std::int64_t rest = bytes_ - done_;
    if (in_.end() - in_.begin() < 4 || !decode_base64_tail(in_.begin(), static_cast<std::size_t>(rest), to()))
      throw bad();
    in_.advance(in_.begin() + 4);
    done_ = bytes_;
  }
  // The error for the group at the front of the window.
  ParseError bad() {
    const char* const end = in_.begin() + std::min<std::ptrdiff_t>(4, in_.end() - in_.begin());
    std::int64_t characters = 0;
    for (const char* p = in_.begin(); p != end && *p != '"'; ++p) {
      if (!is_base64(*p)) {
        const std::string got = in_quotes(*p);
        in_.advance(p + 1);
        return ParseError(fmt::format("got {} in base64; its letters are A-Z, a-z, 0-9, + and /, padded with =", got));
      }
      characters += *p != '=';
    }
    const std::int64_t got = done_ + characters * 6 / 8;
    if (std::find(in_.begin(), end, '"') != end && got < bytes_)
      return ParseError(fmt::format("the base64 string ends after {} of the {} bytes that shape {} needs", got, bytes_,
                                    builder_.shape().str()));
    const bool cut = end - in_.begin() < 4 && std::find(in_.begin(), end, '"') == end;
    in_.advance(end);
    if (cut) return ParseError("the file ends within a string");
    return ParseError(
        fmt::format("the base64 string is not padded as the {} bytes of shape {} are", bytes_, builder_.shape().str()));
  }

  static constexpr std::int64_t most = std::int64_t{1} << 58;
  InputFile& in_;
  TensorBuilder builder_;
  std::int64_t width_, bytes_, done_ = 0;
};

}  // namespace

Tensor read_decimals(InputFile& in, const Shape& shape, DType dtype, std::int64_t& entry) {
  return dispatch(dtype, [&](auto tag) { return Decimals<decltype(tag)>(in, shape, entry).read(); });
}

Tensor read_base64(InputFile& in, const Shape& shape, DType dtype) {
  Base64 text(in, shape, dtype);
  text.expect();
  return text.read();
}

// ---- writing ------------------------------------------------------------------------------------------------------

void new_line(AtomicFile& out, std::size_t indent) {
  constexpr std::string_view spaces = "                                ";
  out.put('\n');
  for (std::size_t left = indent; left != 0;) {
    const std::size_t n = std::min(left, spaces.size());
    out.put(spaces.substr(0, n));
    left -= n;
  }
}

void write_decimals(AtomicFile& out, const Tensor& tensor, std::size_t indent) {
  dispatch(tensor.dtype(), [&](auto tag) {
    const auto* const values = tensor.data<decltype(tag)>();
    const std::int64_t count = tensor.numel(), per_line = tensor.dtype() == f64 ? 4 : 8;
    out.put('[');
    for (std::int64_t first = 0; first < count; first += per_line) {
      if (first != 0) out.put(',');
      if (count > per_line) new_line(out, indent);
      const std::int64_t last = std::min(count, first + per_line);
      char* to = out.room(static_cast<std::size_t>(last - first) * (number_room + 2));
      for (std::int64_t i = first; i < last; ++i) {
        if (i != first) *to++ = ',', *to++ = ' ';
        to = print(to, values[i]);
      }
      out.wrote(to);
    }
    if (count > per_line) new_line(out, indent - 2);
    out.put(']');
  });
}

void write_base64(AtomicFile& out, const Tensor& tensor) {
  constexpr std::size_t piece = 3 * 4096;
  const auto* const bytes = static_cast<const unsigned char*>(tensor.raw());
  const auto count = static_cast<std::size_t>(tensor.bytes());
  out.put('"');
  for (std::size_t done = 0; done < count; done += piece) {
    const std::size_t n = std::min(piece, count - done);
    out.wrote(encode_base64(bytes + done, n, out.room(static_cast<std::size_t>(base64_size(piece)))));
  }
  out.put('"');
}

}  // namespace vg::checkpoint
