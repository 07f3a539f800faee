// Reads Values, whose JSON contains the type of each.
#include <optional>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/level.hpp"

namespace vg::checkpoint {

namespace {

// A list in plain JSON, whose first entry determines its type.
class UntypedList : public Level {
 public:
  explicit UntypedList(Value& out) : out_(out) {}

  void scalar(const Scalar& s) override {
    using Kind = Scalar::Kind;
    const bool integer = s.kind == Kind::natural || s.kind == Kind::negative;
    if (!list_) {
      if (integer)
        list_ = make<std::int64_t>();
      else if (s.kind == Kind::real)
        list_ = make<double>();
      else if (s.kind == Kind::text)
        list_ = make<std::string>();
      else
        Level::scalar(s);
      real_ = s.kind == Kind::real;
    }
    if (integer && real_)
      throw ParseError(fmt::format("got the integer {} in an array of f64; write it with \".0\"", in_quotes(s)));
    if (s.kind == Kind::text && real_)
      throw ParseError(
          fmt::format("got {} in an array of f64; such an array is written {{\"f64\": [...]}}", in_quotes(s)));
    list_->scalar(s);
  }
  void close() override {
    if (!list_) throw ParseError("an empty array must say its type: {\"i64\": []}, {\"f64\": []} or {\"string\": []}");
  }

 protected:
  std::string expected() const override { return "an integer, a number or a string"; }

 private:
  template <class T>
  LevelPtr make() {
    return std::make_unique<List<T>>(out_.emplace<std::vector<T>>());
  }
  Value& out_;
  LevelPtr list_;
  bool real_ = false;
};

// A value with an explicit type: {"f64": "nan"}, {"i64": []}.
class Tagged : public Level {
 public:
  explicit Tagged(Value& out) : out_(out) {}

  void key(const std::string& name) override {
    if (!tag_.empty())
      throw ParseError(fmt::format("got the key {} after \"{}\"; one type is allowed", in_quotes(name), tag_));
    if (name != "f64" && name != "i64" && name != "string")
      throw ParseError(
          fmt::format("got the key {}; a value that is an object has one key, its type: \"f64\", \"i64\" or \"string\"",
                      in_quotes(name)));
    tag_ = name;
  }
  void scalar(const Scalar& s) override {
    if (tag_ == "f64")
      out_ = as_number<double>(s);
    else if (tag_ == "i64")
      out_ = as_integer(s);
    else
      out_ = std::string(as_text(s));
  }
  LevelPtr open(Opened what) override {
    if (what == Opened::object) return Level::open(what);
    if (tag_ == "f64") return std::make_unique<List<double>>(out_.emplace<std::vector<double>>());
    if (tag_ == "i64") return std::make_unique<List<std::int64_t>>(out_.emplace<std::vector<std::int64_t>>());
    return std::make_unique<List<std::string>>(out_.emplace<std::vector<std::string>>());
  }
  void close() override {
    if (tag_.empty())
      throw ParseError("a value that is an object has one key, its type: \"f64\", \"i64\" or \"string\"");
  }

 protected:
  std::string expected() const override { return "a scalar or an array"; }

 private:
  Value& out_;
  std::string tag_;
};

class ValuesLevel : public Level {
 public:
  explicit ValuesLevel(Attributes& out) : out_(out) {}
  void key(const std::string& name) override { out_.emplace_back(name, false); }
  void scalar(const Scalar& s) override {
    Value& value = out_.back().second;
    switch (s.kind) {
      case Scalar::Kind::boolean:
        value = s.truth;
        break;
      case Scalar::Kind::natural:
      case Scalar::Kind::negative:
        value = as_integer(s);
        break;
      case Scalar::Kind::real:
        // The JSON reader reports an integer of more than 64 bits as a real.
        if (s.text.find_first_of(".eE") == std::string_view::npos) as_integer(s);
        value = as_number<double>(s);
        break;
      case Scalar::Kind::text:
        value = std::string(s.text);
        break;
      default:
        Level::scalar(s);
    }
  }
  LevelPtr open(Opened what) override {
    Value& value = out_.back().second;
    if (what == Opened::list) return std::make_unique<UntypedList>(value);
    return std::make_unique<Tagged>(value);
  }

 protected:
  std::string expected() const override {
    return "true, false, a number, a string, an array of them, or an object that says its type";
  }

 private:
  Attributes& out_;
};

}  // namespace

LevelPtr values_level(Attributes& out) { return std::make_unique<ValuesLevel>(out); }

}  // namespace vg::checkpoint
