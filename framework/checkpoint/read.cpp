// Reads the checkpoint grammar, key by key the counterpart of write.cpp.
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/input.hpp"
#include "voxgrad/framework/checkpoint/json.hpp"
#include "voxgrad/framework/checkpoint/level.hpp"
#include "voxgrad/framework/system/file_signature.hpp"

namespace vg::checkpoint {

namespace {

template <class T>
LevelPtr map_level(std::vector<std::pair<std::string, T>>& out, LevelPtr (*open)(T&)) {
  return std::make_unique<Map<T>>(out, open);
}

LevelPtr description_level(ModuleConfig& d) {
  auto level = std::make_unique<Record>();
  level->text_field("kind", d.kind);
  level->object_field(
      "options", [&d] { return values_level(d.options); }, Record::Need::optional);
  level->object_field(
      "children", [&d] { return map_level(d.children, description_level); }, Record::Need::optional);
  return level;
}

class StateLevel : public Record {
 public:
  explicit StateLevel(SavedState& s) : state_(s) {
    text_field("kind", s.kind);
    list_field(
        "frozen", [&s] { return std::make_unique<List<std::string>>(s.frozen); }, Need::optional);
    object_field("leaves", [&s] { return map_level(s.leaves, tensor_level); });
  }
  void close() override {
    Record::close();
    std::set<std::string_view> leaves;
    for (const auto& [name, tensor] : state_.leaves) leaves.insert(name);
    for (const std::string& name : state_.frozen)
      if (leaves.erase(name) == 0)
        throw ParseError(fmt::format("\"frozen\": got {}; must be leaves of this state, each once", in_quotes(name)));
  }

 private:
  SavedState& state_;
};

LevelPtr state_level(SavedState& s) { return std::make_unique<StateLevel>(s); }

LevelPtr model_level(SavedModel& m) {
  auto level = std::make_unique<Record>();
  level->object_field("description", [&m] { return description_level(m.description); });
  level->object_field("states", [&m] { return map_level(m.states, state_level); });
  return level;
}

LevelPtr bundle_level(StateDict& b) {
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
        throw ParseError(fmt::format("got {}; this version reads \"{}\"", in_quotes(s), generator_name));
    });
    list_field("key", [this] { return std::make_unique<List<std::int64_t>>(words_, 2); });
  }
  void close() override {
    Record::close();
    for (std::int64_t w : words_)
      if (w < 0 || w > 0xffffffff) throw ParseError(fmt::format("\"key\": got {}; must be of 32 bits, unsigned", w));
    if (words_.size() != 2) throw ParseError(fmt::format("\"key\": got {} words; must be 2", words_.size()));
    key_ = random::Key{static_cast<std::uint32_t>(words_[0]), static_cast<std::uint32_t>(words_[1])};
  }

 private:
  std::optional<random::Key>& key_;
  std::vector<std::int64_t> words_;
};

void check_format(const Scalar& s) {
  if (s.kind != Scalar::Kind::text || s.text != format_name)
    throw ParseError(fmt::format("got {}; must be \"{}\": this is not a checkpoint", in_quotes(s), format_name));
}

int checked_version(const Scalar& s) {
  const std::int64_t version = as_integer(s);
  if (version < 1 || version > format_version)
    throw ParseError(
        fmt::format("the file is of version {}; this voxgrad reads versions 1 to {}", version, format_version));
  return static_cast<int>(version);
}

class DocumentLevel : public Record {
 public:
  DocumentLevel(Document& d, const InputFile& in) : Record(2), document_(d), in_(in) {
    scalar_field("format", check_format);
    scalar_field("version", [&d](const Scalar& s) { d.version = checked_version(s); });
    object_field(
        "progress", [&d] { return values_level(d.progress); }, Need::optional);
    object_field(
        "generator", [&d] { return std::make_unique<GeneratorLevel>(d.generator); }, Need::optional);
    object_field(
        "model", [&d] { return model_level(d.model.emplace()); }, Need::optional);
    object_field(
        "models", [&d] { return map_level(d.models, model_level); }, Need::optional);
    object_field(
        "optimizer", [&d] { return bundle_level(d.optimizer.emplace()); }, Need::optional);
    object_field(
        "optimizers", [&d] { return map_level(d.optimizers, bundle_level); }, Need::optional);
    object_field(
        "parts", [&d] { return map_level(d.parts, bundle_level); }, Need::optional);
    scalar_field(
        "crc32", [this](const Scalar& s) { check_sum(s); }, Need::optional);
  }
  void key(const std::string& name) override {
    if (document_.summed)
      throw ParseError("\"crc32\" must be the last key of the file: it is the sum of all before it");
    Record::key(name);
  }

 private:
  void check_sum(const Scalar& s) {
    const std::int64_t said = as_integer(s), found = in_.marked();
    if (said != found)
      throw ParseError(
          fmt::format("the CRC-32 of all bytes before it is {}, the file says {}: the file is damaged, or was "
                      "changed by hand; to load it as it is, remove this key",
                      found, said));
    document_.summed = true;
  }

  Document& document_;
  const InputFile& in_;
};

// The level around the document, which is the one value of the file.
class File : public Level {
 public:
  File(Document& out, const InputFile& in) : out_(out), in_(in) {}
  LevelPtr open(Opened what) override {
    if (what != Opened::object) return Level::open(what);
    return std::make_unique<DocumentLevel>(out_, in_);
  }

 protected:
  std::string expected() const override { return "an object"; }

 private:
  Document& out_;
  const InputFile& in_;
};

// Throws for a file of another format. Other JSON is recognised by its keys, later.
void check_is_json(InputFile& file, const std::filesystem::path& path) {
  file.need(detail::signature_bytes);
  const std::string_view first(file.begin(), file.end());
  const std::string guess = detail::looks_like(first);
  const std::size_t text = first.find_first_not_of(" \t\r\n");
  if (guess.empty() || (first[text] == '{' && !guess.ends_with("safetensors"))) return;
  throw IoError(fmt::format("[checkpoint] load: {}: this is not a checkpoint, which is JSON{}", path.string(), guess));
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
  const auto fail = [&](const InputFile& file, const Walker& walker, const char* what) {
    return IoError(fmt::format("[checkpoint] load: {}: line {}, byte {}, at {}: {}", path.string(), file.line(),
                               file.offset(), walker.path(), what));
  };
  Document document;
  InputFile file(path);
  check_is_json(file, path);
  Walker walker(std::make_unique<File>(document, file));
  try {
    read_json(file, walker);
  } catch (const ParseError& e) {
    throw fail(file, walker, e.what());
  } catch (const std::invalid_argument& e) {  // an impossible shape or dtype
    throw fail(file, walker, e.what());
  }
  if (document.model) upgrade(document.model->description, document.version);
  for (auto& [name, model] : document.models) upgrade(model.description, document.version);
  return document;
}

}  // namespace vg::checkpoint
