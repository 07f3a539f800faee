// A strict JSON reader (RFC 8259, UTF-8, no byte order mark), and the Walker that receives its events. We use our own
// because a parser that reports each value (nlohmann's SAX) reads 60 MB/s; here numbers and base64 go straight from the
// window into a tensor. tests/unit/checkpoint/test_checkpoint_json.cpp compares it with nlohmann's.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "voxgrad/framework/checkpoint/input.hpp"
#include "voxgrad/framework/checkpoint/level.hpp"

namespace vg::checkpoint {

/// Forwards the events to the innermost Level and tracks the position in the document for error messages.
class Walker {
 public:
  /// `root` receives the one value of the text.
  explicit Walker(LevelPtr root) { stack_.push_back({std::move(root), false, false, {}, 0, {}}); }

  void scalar(const Scalar& s) { next().scalar(s); }
  void open(Opened what);
  void close();
  void key(const std::string& name);
  void read_payload_entries(InputFile& in);
  bool read_payload_string(InputFile& in) { return stack_.back().level->read_payload_string(in); }
  /// The number of open objects and lists.
  std::size_t depth() const { return stack_.size() - 1; }
  /// "$.model.states[\"conv.weight\"].leaves.weight.values[3]"
  std::string path() const;

 private:
  struct Frame {
    LevelPtr level;
    bool object;
    bool inside;  // at a key or an entry, not at the opening bracket
    std::string key;
    std::int64_t entries;
    std::set<std::string> keys;  // ordered: in a hashed set, keys of equal hashes would take quadratic time
  };
  static std::string step(const Frame& f);
  Level& next();

  std::vector<Frame> stack_;
};

/// Reads one value and white space to the end of the file. Throws ParseError for any other text, and rethrows the
/// Levels' exceptions; the input then points behind the last byte that was read. Marks the input at each key of the
/// outermost object.
void read_json(InputFile& in, Walker& walker);

}  // namespace vg::checkpoint
