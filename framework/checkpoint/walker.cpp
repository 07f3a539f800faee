#include <fmt/format.h>

#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/json.hpp"

namespace vg::checkpoint {

void Walker::key(const std::string& name) {
  Frame& top = stack_.back();
  top.inside = true;
  top.key = name;
  if (top.keys.size() == max_keys) throw ParseError(fmt::format("the object has more than {} keys", max_keys));
  if (!top.keys.insert(name).second)
    throw ParseError(fmt::format("the key {} appears twice in this object", in_quotes(name)));
  top.level->key(name);
}

void Walker::open(Opened what) {
  Level& level = next();
  if (stack_.size() > static_cast<std::size_t>(max_depth))
    throw ParseError(fmt::format("the file is nested more than {} deep", max_depth));
  stack_.push_back({level.open(what), what == Opened::object, false, {}, 0, {}});
}

void Walker::close() {
  stack_.back().inside = false;
  stack_.back().level->close();
  stack_.pop_back();
}

void Walker::read_payload_entries(InputFile& in) {
  Frame& top = stack_.back();
  top.entries += top.level->read_payload_entries(in);
  top.inside = top.entries != 0;
}

Level& Walker::next() {
  Frame& top = stack_.back();
  if (!top.object) {
    top.inside = true;
    ++top.entries;
  }
  return *top.level;
}

std::string Walker::step(const Frame& f) {
  if (!f.inside) return "";
  if (!f.object) return fmt::format("[{}]", f.entries - 1);
  const bool plain = !f.key.empty() && f.key.size() < 60 && (f.key[0] < '0' || f.key[0] > '9') &&
                     f.key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string::npos;
  return plain ? fmt::format(".{}", f.key) : fmt::format("[{}]", in_quotes(f.key));
}

std::string Walker::path() const {
  std::string text = "$";
  for (std::size_t i = 1; i < stack_.size(); ++i) text += step(stack_[i]);
  return text;
}

}  // namespace vg::checkpoint
