#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/contents.hpp"
#include "cli/statistics.hpp"

namespace command {

namespace {

/// The contents under a name, in the order of the file.
struct Node {
  std::string name;
  std::vector<std::string> texts;  ///< facts, then the tensor's line
  std::vector<std::unique_ptr<Node>> children;
  std::map<std::string_view, Node*> by_name;  ///< the children by name, because a file may have many

  Node& child(std::string_view wanted) {
    if (const auto it = by_name.find(wanted); it != by_name.end()) return *it->second;
    Node& made = *children.emplace_back(std::make_unique<Node>());
    made.name = wanted;
    by_name.emplace(made.name, &made);
    return made;
  }
  /// The node of a dotted name. At most 64 levels deep, so that a name with many dots cannot overflow the stack.
  Node& at(std::string_view path) {
    Node* node = this;
    for (int depth = 0; depth < 64; ++depth) {
      const std::size_t dot = path.find('.');
      if (dot == std::string_view::npos) break;
      node = &node->child(path.substr(0, dot));
      path.remove_prefix(dot + 1);
    }
    return node->child(path);
  }
};

std::string tensor_line(const vg::Tensor& tensor, const Statistics& s) {
  std::string line = vg::form(tensor);
  if (s.finite > 0)
    line += fmt::format("  min {:.5g}  mean {:.5g}  max {:.5g}  std {:.5g}", s.min, s.mean, s.max, s.std);
  if (s.nan > 0) line += fmt::format("  {} NaN", s.nan);
  if (s.inf > 0) line += fmt::format("  {} Inf", s.inf);
  return line;
}

void print(const Node& node, int depth, std::string name, std::ostream& out) {
  const Node* n = &node;
  for (; n->texts.empty() && n->children.size() == 1; name += "." + n->name) n = n->children[0].get();
  std::string line = fmt::format("{:{}}{}", "", 2 * depth, printable(name));
  for (const std::string& text : n->texts) line += "  " + printable(text);
  out << line << '\n';
  for (const auto& child : n->children) print(*child, depth + 1, child->name, out);
}

}  // namespace

int show(const fs::path& file, std::ostream& out) {
  const Contents contents = read_contents(file);
  Node root;
  for (const auto& [name, text] : contents.facts) root.at(name).texts.push_back(text);
  std::int64_t nan = 0, inf = 0;
  for (const auto& [name, tensor] : contents.tensors) {
    const Statistics s = statistics(tensor);
    root.at(name).texts.push_back(tensor_line(tensor, s));
    nan += s.nan;
    inf += s.inf;
  }
  out << fmt::format("{}: {}, {} NaN, {} Inf\n", file.string(), contents.summary(), nan, inf);
  for (const auto& child : root.children) print(*child, 0, child->name, out);
  return 0;
}

}  // namespace command
