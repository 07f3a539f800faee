// The building blocks of the checkpoint grammar. A Level handles one open object or list of the file: it receives the
// keys and scalars as they are read, and makes the Levels of nested objects and lists. It throws ParseError; the reader
// adds the file and the position.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/nn/description.hpp"

namespace vg::checkpoint {

struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A JSON value that is neither object nor list. `natural` holds an integer without a sign, `negative` one with a sign,
/// so a negative 0 is the text "-0".
struct Scalar {
  enum class Kind { null, boolean, natural, negative, real, text };
  Kind kind = Kind::null;
  bool truth = false;
  std::uint64_t natural = 0;
  std::int64_t negative = 0;
  std::string_view text{};  ///< a string's contents, or a real's digits
};

/// The value for messages: "null", "12", "\"abc\"".
using vg::in_quotes;
std::string in_quotes(const Scalar& s);
/// These throw ParseError for a scalar of another kind or out of range.
std::string_view as_text(const Scalar& s);
std::int64_t as_integer(const Scalar& s);
template <class T>  // float, double or int32_t; a float or double may be "nan", "inf", ...
T as_number(const Scalar& s);

enum class Opened { object, list };
class InputFile;

class Level {
 public:
  virtual ~Level() = default;
  virtual void key(const std::string&) {}
  virtual void scalar(const Scalar& s);
  virtual std::unique_ptr<Level> open(Opened what);
  virtual void close() {}
  /// For contents that are too large to be reported value by value; these functions read straight from the input.
  /// Before an entry of a list, read_payload_entries() consumes as many entries as it understands, each with the comma
  /// after it, and returns their number; the rest follow one by one, with their errors. Within a string,
  /// read_payload_string() may consume everything before the closing quote, and returns whether it did.
  virtual std::int64_t read_payload_entries(InputFile&) { return 0; }
  virtual bool read_payload_string(InputFile&) { return false; }

 protected:
  /// Describes the allowed value for error messages: "an array of integers".
  virtual std::string expected() const = 0;
};
using LevelPtr = std::unique_ptr<Level>;

/// An object with a fixed set of keys.
class Record : public Level {
 public:
  /// The first `leading` fields must come first, in their order, because the others cannot be interpreted without them.
  explicit Record(std::size_t leading = 0) : leading_(leading) {}

  enum class Need { required, optional };
  void scalar_field(std::string_view name, std::function<void(const Scalar&)> take, Need need = Need::required);
  void object_field(std::string_view name, std::function<LevelPtr()> open, Need need = Need::required);
  void list_field(std::string_view name, std::function<LevelPtr()> open, Need need = Need::required);
  void text_field(std::string_view name, std::string& out);

  void key(const std::string& name) override;
  void scalar(const Scalar& s) override;
  LevelPtr open(Opened what) override;
  void close() override;

 protected:
  std::string expected() const override;
  /// The key that was read last.
  std::string_view current() const { return now_->name; }

 private:
  struct Field {
    std::string_view name;
    std::string_view is;  // "a value", "an object", "an array"
    std::function<void(const Scalar&)> take;
    std::function<LevelPtr()> open;
    Need need;
    bool seen = false;
  };
  std::vector<Field> fields_;
  Field* now_ = nullptr;
  std::size_t leading_;
};

/// An object with arbitrary keys, whose values are objects of the same kind.
template <class T>
class Map : public Level {
 public:
  using Entries = std::vector<std::pair<std::string, T>>;
  Map(Entries& out, LevelPtr (*opener)(T&)) : out_(out), open_(opener) {}
  void key(const std::string& name) override { out_.emplace_back(name, T{}); }
  LevelPtr open(Opened what) override { return what == Opened::object ? open_(out_.back().second) : Level::open(what); }

 protected:
  std::string expected() const override { return "an object"; }

 private:
  Entries& out_;
  LevelPtr (*open_)(T&);
};

/// A list of scalars of one type: std::int64_t, double or std::string.
template <class T>
class List : public Level {
 public:
  explicit List(std::vector<T>& out, std::size_t limit = SIZE_MAX) : out_(out), limit_(limit) {}
  void scalar(const Scalar& s) override;

 protected:
  std::string expected() const override;

 private:
  std::vector<T>& out_;
  std::size_t limit_;
};

/// values_level reads an object of Values; tensor_level one tensor: {"dtype", "shape", "encoding", "crc32", "values"}.
LevelPtr values_level(Attributes& out);
LevelPtr tensor_level(Tensor& out);

}  // namespace vg::checkpoint
