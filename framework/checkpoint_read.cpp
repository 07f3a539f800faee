// A checkpoint's grammar, key by key the counterpart of checkpoint_write.cpp, and the reader that walks a file through
// it.
#include <locale.h>
#include <clocale>
#include <iterator>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "framework/checkpoint_document.hpp"
#include "framework/checkpoint_input.hpp"
#include "framework/checkpoint_level.hpp"
#include "framework/checkpoint_text.hpp"
#include "framework/error.hpp"

namespace vg::checkpoint {

namespace {

template <class T>
LevelPtr map_level(std::vector<std::pair<std::string, T>>& out, LevelPtr (*open)(T&)) {
  return std::make_unique<Map<T>>(out, open);
}

LevelPtr description_level(Description& d) {
  auto level = std::make_unique<Record>();
  level->text_field("kind", d.kind);
  level->object_field(
      "options", [&d] { return values_level(d.options); }, Record::Need::optional);
  level->object_field(
      "children", [&d] { return map_level(d.children, description_level); }, Record::Need::optional);
  return level;
}

LevelPtr state_level(SavedState& s) {
  auto level = std::make_unique<Record>();
  level->text_field("kind", s.kind);
  level->object_field("leaves", [&s] { return map_level(s.leaves, tensor_level); });
  return level;
}

LevelPtr model_level(SavedModel& m) {
  auto level = std::make_unique<Record>();
  level->object_field("description", [&m] { return description_level(m.description); });
  level->object_field("states", [&m] { return map_level(m.states, state_level); });
  return level;
}

LevelPtr bundle_level(Bundle& b) {
  auto level = std::make_unique<Record>();
  level->object_field(
      "values", [&b] { return values_level(b.values); }, Record::Need::optional);
  level->object_field(
      "tensors", [&b] { return map_level(b.tensors, tensor_level); }, Record::Need::optional);
  level->object_field(
      "parts", [&b] { return map_level(b.parts, bundle_level); }, Record::Need::optional);
  return level;
}

class GeneratorLevel : public Record {
 public:
  explicit GeneratorLevel(std::optional<random::Key>& key) : key_(key) {
    scalar_field("algorithm", [](const Scalar& s) {
      if (as_text(s) != generator_name)
        throw Fault(fmt::format("got {}; this version knows \"{}\"", shown(s), generator_name));
    });
    list_field("key", [this] { return std::make_unique<List<std::int64_t>>(words_, 2); });
  }
  void close() override {
    Record::close();
    for (std::int64_t w : words_)
      if (w < 0 || w > 0xffffffff) throw Fault(fmt::format("\"key\": got {}; must be of 32 bits, unsigned", w));
    if (words_.size() != 2) throw Fault(fmt::format("\"key\": got {} words; must be 2", words_.size()));
    key_ = random::Key{static_cast<std::uint32_t>(words_[0]), static_cast<std::uint32_t>(words_[1])};
  }

 private:
  std::optional<random::Key>& key_;
  std::vector<std::int64_t> words_;
};

void check_format(const Scalar& s) {
  if (s.kind != Scalar::Kind::text || *s.text != format_name)
    throw Fault(fmt::format("got {}; must be \"{}\": this is not a checkpoint", shown(s), format_name));
}

void check_version(const Scalar& s) {
  if (as_integer(s) != format_version)
    throw Fault(fmt::format("the file is of version {}; this voxgrad reads version {}", shown(s), format_version));
}

LevelPtr document_level(Document& d) {
  constexpr auto optional = Record::Need::optional;
  auto level = std::make_unique<Record>(2);
  level->scalar_field("format", check_format);
  level->scalar_field("version", check_version);
  level->object_field(
      "progress", [&d] { return values_level(d.progress); }, optional);
  level->object_field(
      "generator", [&d] { return std::make_unique<GeneratorLevel>(d.generator); }, optional);
  level->object_field(
      "model", [&d] { return model_level(d.model.emplace()); }, optional);
  level->object_field(
      "optimizer", [&d] { return bundle_level(d.optimizer.emplace()); }, optional);
  level->object_field(
      "parts", [&d] { return map_level(d.parts, bundle_level); }, optional);
  return level;
}

// Around the document: the one value of the file.
class File : public Level {
 public:
  explicit File(Document& out) : out_(out) {}
  LevelPtr open(Opened what) override { return what == Opened::object ? document_level(out_) : Level::open(what); }

 protected:
  std::string expected() const override { return "an object"; }

 private:
  Document& out_;
};

// Passes nlohmann's events on to the innermost Level, and keeps what the messages say: where in the document we are.
class Walker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Walker(Document& out) { stack_.push_back({std::make_unique<File>(out), false, false, {}, 0, {}}); }

  bool null() override { return scalar({}); }
  bool boolean(bool v) override { return scalar({.kind = Scalar::Kind::boolean, .truth = v}); }
  bool number_integer(std::int64_t v) override { return scalar({.kind = Scalar::Kind::negative, .negative = v}); }
  bool number_unsigned(std::uint64_t v) override { return scalar({.kind = Scalar::Kind::natural, .natural = v}); }
  bool number_float(double v, const std::string& text) override {
    return scalar({.kind = Scalar::Kind::real, .real = v, .text = &text});
  }
  bool string(std::string& v) override { return scalar({.kind = Scalar::Kind::text, .text = &v}); }
  bool binary(nlohmann::json::binary_t&) override { return false; }  // not in JSON text
  bool start_object(std::size_t) override { return open(Opened::object); }
  bool start_array(std::size_t) override { return open(Opened::list); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    Frame& top = stack_.back();
    top.inside = true;
    top.key = name;
    if (!top.keys.insert(name).second) throw Fault(fmt::format("the key {} stands twice in this object", shown(name)));
    top.level->key(name);
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": the place is given by us.
    std::string_view text = e.what();
    text.remove_prefix(std::min(text.size(), text.find("] ") + 2));
    if (text.starts_with("parse error at ")) text.remove_prefix(std::min(text.size(), text.find(": ") + 2));
    throw Fault(std::string(text.substr(0, 240)) + (text.size() > 240 ? "..." : ""));
  }

  std::string path() const {
    std::string text = "$";
    for (std::size_t i = 1; i < stack_.size(); ++i) text += step(stack_[i]);
    return text;
  }

 private:
  struct Frame {
    LevelPtr level;
    bool object;
    bool inside;  // at a key or an entry, not at the bracket
    std::string key;
    std::int64_t entries;
    std::unordered_set<std::string> keys;
  };

  static std::string step(const Frame& f) {
    if (!f.inside) return "";
    if (!f.object) return fmt::format("[{}]", f.entries - 1);
    const bool plain = !f.key.empty() && f.key.size() < 60 &&
                       f.key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
    return plain ? fmt::format(".{}", f.key) : fmt::format("[{}]", shown(f.key));
  }

  Level& next() {
    Frame& top = stack_.back();
    if (!top.object) {
      top.inside = true;
      ++top.entries;
    }
    return *top.level;
  }
  bool scalar(const Scalar& s) {
    next().scalar(s);
    return true;
  }
  bool open(Opened what) {
    Level& level = next();
    if (stack_.size() > static_cast<std::size_t>(max_depth))
      throw Fault(fmt::format("the file is nested more than {} deep", max_depth));
    stack_.push_back({level.open(what), what == Opened::object, false, {}, 0, {}});
    return true;
  }
  bool close() {
    stack_.back().inside = false;
    stack_.back().level->close();
    stack_.pop_back();
    return true;
  }

  std::vector<Frame> stack_;
};

// nlohmann's input: bytes of an InputFile, which counts them.
class Bytes {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  explicit Bytes(InputFile* file = nullptr) : file_(file) {}
  char operator*() const { return file_->peek(); }
  Bytes& operator++() {
    file_->skip();
    return *this;
  }
  friend bool operator==(const Bytes& a, const Bytes&) { return !a.file_->more(); }
  friend bool operator!=(const Bytes& a, const Bytes& end) { return !(a == end); }

 private:
  InputFile* file_;
};

// nlohmann's lexer reads reals with strtod, which obeys the locale. For this thread only, and only while reading, it is
// C's.
class CLocale {
 public:
  CLocale() : c_(::newlocale(LC_ALL_MASK, "C", nullptr)), before_(c_ ? ::uselocale(c_) : nullptr) {}
  ~CLocale() {
    if (!c_) return;
    ::uselocale(before_);
    ::freelocale(c_);
  }
  CLocale(const CLocale&) = delete;
  CLocale& operator=(const CLocale&) = delete;

 private:
  locale_t c_, before_;
};

}  // namespace

Document read(const std::filesystem::path& path) {
  const auto fail = [&](const InputFile& file, const Walker& walker, const char* what) {
    return IoError(fmt::format("[checkpoint] load: {}: line {}, byte {}, at {}: {}", path.string(), file.line(),
                               file.offset(), walker.path(), what));
  };
  Document document;
  const CLocale locale;
  InputFile file(path);
  Walker walker(document);
  try {
    nlohmann::json::sax_parse(Bytes(&file), Bytes(), &walker);
    if (!file.at_end()) throw Fault("a zero byte stands after the document");  // which the lexer takes for the end
  } catch (const Fault& e) {
    throw fail(file, walker, e.what());
  } catch (const std::invalid_argument& e) {  // a shape or dtype that cannot be
    throw fail(file, walker, e.what());
  }
  return document;
}

}  // namespace vg::checkpoint
