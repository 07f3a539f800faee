// JSON, strict (RFC 8259, UTF-8, no byte order mark): the reader of a string, and the walk through the grammar that it
// feeds. Our own because a parser that gives events value by value (nlohmann's SAX) reads 60 MB/s; here numbers and
// base64 go straight from the window into a tensor. tests/unit/checkpoint/test_checkpoint_json.cpp holds it against
// nlohmann's.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "voxgrad/framework/checkpoint/input.hpp"
#include "voxgrad/framework/checkpoint/level.hpp"

namespace vg::checkpoint {

/// Passes what is read on to the innermost Level, and keeps what the messages say: where in the document we are.
class Walker {
 public:
  /// `root` takes the one value of the text.
  explicit Walker(LevelPtr root) { stack_.push_back({std::move(root), false, false, {}, 0, {}}); }

  void scalar(const Scalar& s) { next().scalar(s); }
  void open(Opened what);
  void close();
  void key(const std::string& name);
  void read_payload_entries(InputFile& in);
  bool read_payload_string(InputFile& in) { return stack_.back().level->read_payload_string(in); }
  /// Objects and lists that are open.
  std::size_t depth() const { return stack_.size() - 1; }
  /// "$.model.states[\"conv.weight\"].leaves.weight.values[3]"
  std::string path() const;

 private:
  struct Frame {
    LevelPtr level;
    bool object;
    bool inside;  // at a key or an entry, not at the bracket
    std::string key;
    std::int64_t entries;
    std::set<std::string> keys;  // ordered: keys of equal hashes would make a hashed set quadratic
  };
  static std::string step(const Frame& f);
  Level& next();

  std::vector<Frame> stack_;
};

/// Reads one value and white space to the end of the file. Throws ParseError where that is not what stands there, and what
/// the Levels throw; the input then stands behind what was read last. At the first level's keys it marks the input.
void read_json(InputFile& in, Walker& walker);

}  // namespace vg::checkpoint
