// Reads a tensor of a checkpoint: the values go straight from the input into the tensor's memory.
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/base64.hpp"
#include "voxgrad/framework/checkpoint/input.hpp"
#include "voxgrad/framework/checkpoint/level.hpp"
#include "voxgrad/framework/checkpoint/text.hpp"

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
class Decimals : public Level {
 public:
  Decimals(Tensor& out, const Shape& shape) : out_(out), builder_(shape, dtype_of<T>()) {}

  void scalar(const Scalar& s) override {
    if (count_ == builder_.numel())
      throw ParseError(fmt::format("there are more values than the {} of shape {}", count_, builder_.shape().str()));
    const T value = as_number<T>(s);
    if (count_ == builder_.capacity()) builder_.grow();
    values()[count_++] = value;
  }

  std::int64_t read_payload_entries(InputFile& in) override {
    const std::int64_t before = count_;
    builder_.expect(in.left() / 2 + 1);  // each entry has at least a digit and a comma
    while (take_window(in)) {
    }
    return count_ - before;
  }

  void close() override {
    if (count_ != builder_.numel())
      throw ParseError(
          fmt::format("there are {} values; shape {} needs {}", count_, builder_.shape().str(), builder_.numel()));
    out_ = builder_.whole();
  }

 protected:
  std::string expected() const override { return "a number"; }

 private:
  T* values() { return reinterpret_cast<T*>(builder_.raw()); }

  // Reads values from the window as long as each is plain, complete and followed by a comma. Returns whether more may
  // follow.
  bool take_window(InputFile& in) {
    constexpr std::ptrdiff_t margin = 4096;
    in.need(2 * margin);
    const char* p = in.begin();
    const char* const stop = in.at_end() ? in.end() : in.end() - margin;
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
    in.advance(passed);
    count_ = to - values();
    return !odd && to != full && !in.at_end();
  }

  Tensor& out_;
  TensorBuilder builder_;
  std::int64_t count_ = 0;
};

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
    std::int64_t letters = 0;
    for (const char* p = in_.begin(); p != end && *p != '"'; ++p) {
      if (!is_base64(*p)) {
        const std::string got = in_quotes(*p);
        in_.advance(p + 1);
        return ParseError(fmt::format("got {} in base64; its letters are A-Z, a-z, 0-9, + and /, padded with =", got));
      }
      letters += *p != '=';
    }
    const std::int64_t got = done_ + letters * 6 / 8;
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

class TensorLevel : public Record {
 public:
  explicit TensorLevel(Tensor& out) : Record(2), out_(out) {
    scalar_field("dtype", [this](const Scalar& s) { dtype_ = dtype_from_name(std::string(as_text(s))); });
    list_field("shape", [this] { return std::make_unique<List<std::int64_t>>(extents_, Shape::max_rank); });
    scalar_field(
        "encoding", [this](const Scalar& s) { set_encoding(s); }, Need::optional);
    scalar_field(
        "crc32", [this](const Scalar& s) { sum_ = as_integer(s); }, Need::optional);
    list_field("values", [this] { return decimals(); });
  }

  bool read_payload_string(InputFile& in) override {
    if (!base64_ || current() != "values") return false;
    Base64 text(in, Shape(extents_), dtype_);
    text.expect();
    out_ = text.read();
    return true;
  }

  void close() override {
    Record::close();
    if (!sum_) return;
    const auto found = static_cast<std::int64_t>(
        ::crc32_z(0, static_cast<const Bytef*>(out_.raw()), static_cast<std::size_t>(out_.bytes())));
    if (found != *sum_)
      throw ParseError(
          fmt::format("the CRC-32 of the values is {}, the file says {}: the file is damaged, or was changed by hand; "
                      "to load it as it is, remove this \"crc32\" and the one at the end of the file",
                      found, *sum_));
  }

 private:
  void set_encoding(const Scalar& s) {
    const std::string_view name = as_text(s);
    if (name != "decimal" && name != "base64")
      throw ParseError(fmt::format("got {}; must be \"decimal\" or \"base64\"", in_quotes(s)));
    if (out_.defined()) throw ParseError("\"encoding\" must come before \"values\"");
    base64_ = name == "base64";
  }
  LevelPtr decimals() {
    if (base64_) throw ParseError("got an array; must be a string, as \"encoding\" is \"base64\"");
    const Shape shape(extents_);
    return dispatch(dtype_,
                    [&](auto tag) -> LevelPtr { return std::make_unique<Decimals<decltype(tag)>>(out_, shape); });
  }

  Tensor& out_;
  DType dtype_ = f32;
  std::vector<std::int64_t> extents_;
  std::optional<std::int64_t> sum_;
  bool base64_ = false;
};

}  // namespace

LevelPtr tensor_level(Tensor& out) { return std::make_unique<TensorLevel>(out); }

}  // namespace vg::checkpoint
