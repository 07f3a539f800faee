#include "voxgrad/framework/checkpoint/restore.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/numbers.hpp"

namespace vg::checkpoint {

namespace {

// Whether the path is `prefix` or begins with "prefix."; all paths are below "".
bool is_under(std::string_view path, std::string_view prefix) {
  if (prefix.empty() || path == prefix) return true;
  return path.size() > prefix.size() && path.starts_with(prefix) && path[prefix.size()] == '.';
}

template <class Entries>
auto by_name(const Entries& entries) {
  std::map<std::string_view, decltype(&entries.begin()->second)> found;
  for (const auto& [name, thing] : entries) found.emplace(name, &thing);
  return found;
}

// Calls both(name, saved, now), only_saved(name, saved) or only_now(name, now) for each name: first in the order of the
// file, then in that of the program.
template <class Saved, class Now, class Both, class OnlySaved, class OnlyNow>
void join(const Saved& saved, const Now& now, Both&& both, OnlySaved&& only_saved, OnlyNow&& only_now) {
  const auto in_now = by_name(now);
  const auto in_saved = by_name(saved);
  for (const auto& [name, s] : saved) {
    if (const auto it = in_now.find(name); it != in_now.end())
      both(name, s, *it->second);
    else
      only_saved(name, s);
  }
  for (const auto& [name, n] : now)
    if (!in_saved.contains(name)) only_now(name, n);
}

std::string differing(const Tensor& in_file, const Tensor& in_model) {
  const std::string what_to_do =
      in_file.shape() == in_model.shape() && is_float(in_file.dtype()) && is_float(in_model.dtype())
          ? fmt::format("; call to(vg::{}) of the model before the load, and to(vg::{}) after it",
                        name_of(in_file.dtype()), name_of(in_model.dtype()))
          : "";
  return fmt::format("the file has {}, the model {}{}", form(in_file), form(in_model), what_to_do);
}

std::vector<std::pair<std::string, Tensor>> leaves_of(const State& state) {
  std::vector<std::pair<std::string, Tensor>> leaves;
  for (const std::string& leaf : state.leaves()) leaves.emplace_back(leaf, state[leaf].value());
  return leaves;
}

std::string listed(const std::vector<std::pair<std::string, Tensor>>& leaves) {
  std::string text;
  for (const auto& [leaf, t] : leaves) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", leaf, form(t));
  return text.empty() ? "no leaves" : text;
}

// Translates a path of the file to one of the model; "" leaves it out. Marks the rename pair that was used.
std::string renamed(std::string path, const LoadOptions& options, std::vector<bool>& used) {
  std::size_t best = options.rename.size();
  for (std::size_t i = 0; i < options.rename.size(); ++i) {
    const std::string& from = options.rename[i].first;
    if (is_under(path, from) && (best == options.rename.size() || from.size() > options.rename[best].first.size()))
      best = i;
  }
  if (best != options.rename.size()) {
    const auto& [from, to] = options.rename[best];
    used[best] = true;
    std::string rest = from.empty() ? fmt::format(".{}", path) : path.substr(from.size());
    path = to.empty() ? rest.substr(std::min<std::size_t>(1, rest.size())) : rest == "." ? to : to + rest;
  }
  return options.rename_with ? options.rename_with(path) : path;
}

void match_state(const std::string& path, const SavedState& saved, const State& now, Problems& problems) {
  if (saved.kind != name_of(now.kind()))
    problems.push_back(fmt::format("state {}: the file has the kind {}, the model {}", in_quotes(path),
                                   in_quotes(saved.kind), in_quotes(name_of(now.kind()))));
  join(
      saved.leaves, leaves_of(now),
      [&](const std::string& leaf, const Tensor& s, const Tensor& n) {
        if (s.dtype() != n.dtype() || s.shape() != n.shape())
          problems.push_back(fmt::format("state {}, leaf {}: {}", in_quotes(path), in_quotes(leaf), differing(s, n)));
      },
      [&](const std::string& leaf, const Tensor& s) {
        problems.push_back(fmt::format("unexpected: state {}, leaf {} ({}) is in the file, not in the model",
                                       in_quotes(path), in_quotes(leaf), form(s)));
      },
      [&](const std::string& leaf, const Tensor& n) {
        problems.push_back(fmt::format("missing: state {}, leaf {} ({}) is in the model, not in the file",
                                       in_quotes(path), in_quotes(leaf), form(n)));
      });
}

struct ShowValue {
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(std::int64_t v) const { return std::to_string(v); }
  std::string operator()(double v) const {
    char text[number_room];
    return {text, print_real(text, v)};
  }
  std::string operator()(const std::string& v) const { return in_quotes(v); }
  template <class T>
  std::string operator()(const std::vector<T>& v) const {
    std::string text;
    for (std::size_t i = 0; i < std::min<std::size_t>(v.size(), 16); ++i) text += (i ? ", " : "") + (*this)(v[i]);
    return "[" + text + (v.size() > 16 ? ", ...]" : "]");
  }
};

bool equal(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) || a == b; }

// Here a NaN equals a NaN of the same bits.
bool equal(const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  if (const auto* x = std::get_if<double>(&a)) return equal(*x, std::get<double>(b));
  if (const auto* x = std::get_if<std::vector<double>>(&a)) {
    const auto& y = std::get<std::vector<double>>(b);
    return std::equal(x->begin(), x->end(), y.begin(), y.end(), [](double p, double q) { return equal(p, q); });
  }
  return a == b;
}

void match_module(const std::string& path, const ModuleConfig& saved, const ModuleConfig& now, Problems& problems) {
  const std::string module = path.empty() ? "the model" : "module " + in_quotes(path);
  const auto text = [](const Value& v) { return std::visit(ShowValue{}, v); };
  if (saved.kind != now.kind) {  // then nothing below it can be compared
    problems.push_back(fmt::format("description of {}: the file has the kind {}, the model {}", module,
                                   in_quotes(saved.kind), in_quotes(now.kind)));
    return;
  }
  join(
      saved.options, now.options,
      [&](const std::string& name, const Value& s, const Value& n) {
        if (!equal(s, n))
          problems.push_back(fmt::format("description of {}, option {}: the file has {}, the model {}", module,
                                         in_quotes(name), text(s), text(n)));
      },
      [&](const std::string& name, const Value& s) {
        problems.push_back(fmt::format("description of {}, option {}: the file has {}, the model no such option",
                                       module, in_quotes(name), text(s)));
      },
      [&](const std::string& name, const Value& n) {
        problems.push_back(fmt::format("description of {}, option {}: the file has none, the model {}", module,
                                       in_quotes(name), text(n)));
      });
  const auto join_path = [&](const std::string& name) { return path.empty() ? name : path + "." + name; };
  join(
      saved.children, now.children,
      [&](const std::string& name, const ModuleConfig& s, const ModuleConfig& n) {
        match_module(join_path(name), s, n, problems);
      },
      [&](const std::string& name, const ModuleConfig& s) {
        problems.push_back(fmt::format("description of module {}: the file has a {}, the model nothing",
                                       in_quotes(join_path(name)), in_quotes(s.kind)));
      },
      [&](const std::string& name, const ModuleConfig& n) {
        problems.push_back(fmt::format("description of module {}: the file has nothing, the model a {}",
                                       in_quotes(join_path(name)), in_quotes(n.kind)));
      });
}

}  // namespace

namespace {

using SavedStates = std::vector<std::pair<std::string, SavedState>>;

void match_all(const SavedStates& saved, const States& states, Problems& problems) {
  join(
      saved, states,
      [&](const std::string& path, const SavedState& s, const State& n) { match_state(path, s, n, problems); },
      [&](const std::string& path, const SavedState& s) {
        problems.push_back(fmt::format("unexpected: state {} ({}) is in the file, not in the model", in_quotes(path),
                                       listed(s.leaves)));
      },
      [&](const std::string& path, const State& n) {
        problems.push_back(fmt::format("missing: state {} ({}) is in the model, not in the file", in_quotes(path),
                                       listed(leaves_of(n))));
      });
}

// The saved states that the options select, by the model's paths.
SavedStates selected(const SavedStates& saved, const LoadOptions& options, Problems& problems) {
  std::vector<std::string> paths;
  for (const auto& [path, state] : saved) paths.push_back(path);
  SavedStates found;
  for (auto& [now, i] : select_paths(paths, "states", options, problems))
    found.emplace_back(std::move(now), saved[i].second);
  return found;
}

std::vector<Assignment> match_leaves(const SavedStates& saved, const States& states, bool whole, LoadReport& report) {
  std::vector<Assignment> assignments;
  const auto each = [](const std::string& path, const auto& leaves, std::vector<std::string>& names) {
    for (const auto& [leaf, t] : leaves) names.push_back(path + "." + leaf);
  };
  const auto fit = [&](const std::string& path, const SavedState& s, const State& n) {
    const bool kind = s.kind == name_of(n.kind());
    join(
        s.leaves, leaves_of(n),
        [&](const std::string& leaf, const Tensor& from, const Tensor& to) {
          const std::string name = path + "." + leaf;
          if (!kind) {
            report.mismatched.push_back(
                fmt::format("{}: the file has the kind {}, the model {}", name, s.kind, name_of(n.kind())));
          } else if (from.dtype() != to.dtype() || from.shape() != to.shape()) {
            report.mismatched.push_back(fmt::format("{}: {}", name, differing(from, to)));
          } else {
            report.loaded.push_back(name);
            assignments.push_back({n, leaf, from});
            if (whole) assignments.back().frozen = std::count(s.frozen.begin(), s.frozen.end(), leaf) != 0;
          }
        },
        [&](const std::string& leaf, const Tensor&) { report.unexpected.push_back(path + "." + leaf); },
        [&](const std::string& leaf, const Tensor&) { report.missing.push_back(path + "." + leaf); });
  };
  join(
      saved, states, fit,
      [&](const std::string& path, const SavedState& s) { each(path, s.leaves, report.unexpected); },
      [&](const std::string& path, const State& n) { each(path, leaves_of(n), report.missing); });
  return assignments;
}

}  // namespace

std::vector<std::pair<std::string, std::size_t>> select_paths(const std::vector<std::string>& paths,
                                                              std::string_view entries, const LoadOptions& options,
                                                              Problems& problems) {
  std::vector<std::pair<std::string, std::size_t>> found;
  std::set<std::string> taken;
  std::vector<bool> used(options.rename.size());
  for (std::size_t i = 0; i < paths.size(); ++i) {
    std::string now = renamed(paths[i], options, used);
    if (now.empty() || !path_fits(now, options.prefix)) continue;
    if (!taken.insert(now).second)
      problems.push_back(fmt::format("rename: two {} of the file are to be {}; {} is one", entries, in_quotes(now),
                                     in_quotes(paths[i])));
    found.emplace_back(std::move(now), i);
  }
  for (std::size_t i = 0; options.strict && i < used.size(); ++i)
    if (!used[i])
      problems.push_back(fmt::format("rename: no path of the file begins with {}", in_quotes(options.rename[i].first)));
  return found;
}

const SavedModel* find_model(const Document& file, const std::string& name, Problems& problems) {
  if (name.empty() && file.model) return &*file.model;
  std::vector<std::string> names;
  for (const auto& [key, model] : file.models) {
    if (!name.empty() && key == name) return &model;
    names.push_back(in_quotes(key));
  }
  std::string text = name.empty() ? "missing: the file holds no model"
                                  : fmt::format("missing: the file holds no model {}", in_quotes(name));
  if (!names.empty())
    text += fmt::format("{}; it holds {}: name one (vg::LoadOptions{{.model = {}}}, vg::load_model(path, {}))",
                        name.empty() ? " without a name" : "", fmt::join(names, ", "), names[0], names[0]);
  problems.push_back(std::move(text));
  return nullptr;
}

std::vector<Assignment> match_model(const SavedModel& saved, Module& model, const LoadOptions& options,
                                    LoadReport& report, Problems& problems) {
  const States states = model.states();
  const States wanted = options.prefix.empty() ? states : states.under(options.prefix);
  if (wanted.empty() && !options.prefix.empty())
    problems.push_back(fmt::format("prefix: the model has no state below {}", in_quotes(options.prefix)));
  const SavedStates found = selected(saved.states, options, problems);
  if (options.strict) match_all(found, wanted, problems);
  std::vector<Assignment> assignments;
  if (problems.empty()) assignments = match_leaves(found, wanted, options.strict && options.whole(), report);
  if (!options.check_description || !options.strict || !options.whole()) return assignments;
  const std::size_t before = problems.size();
  match_module("", saved.description, model.description(), problems);
  if (problems.size() != before)
    problems.emplace_back(
        "(where only descriptions differ: vg::load with vg::LoadOptions{.check_description = false} loads all the "
        "same)");
  return assignments;
}

void match_part(const std::string& name, const StateDict& saved, const Stateful& part, Problems& problems) {
  try {
    for (const std::string& line : part.check_state(saved)) problems.push_back(name + ": " + line);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    problems.push_back(name + ": " + e.what());
  }
}

namespace {

// Runs the added steps in reverse order when it is destroyed, unless done() was called. Loading parts that were checked
// should not throw, but parts can be user code, and memory can run out.
class Rollback {
 public:
  ~Rollback() {
    for (auto it = steps_.rbegin(); it != steps_.rend(); ++it) {
      try {
        (*it)();
      } catch (...) {  // the first exception is already propagating
      }
    }
  }
  void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
  void done() { steps_.clear(); }

 private:
  std::vector<std::function<void()>> steps_;
};

void assign(const Assignment& a) {
  State state = a.state;
  state.set(a.leaf, a.value);
  if (a.frozen && *a.frozen != state.frozen(a.leaf)) *a.frozen ? state.freeze(a.leaf) : state.unfreeze(a.leaf);
}

void assign_leaves(const std::vector<Assignment>& assignments, Rollback& rollback) {
  struct Before {
    State state;
    std::string leaf;
    Tensor value;
    Variable grad;
    bool frozen;
  };
  std::vector<Before> before;
  for (const Assignment& m : assignments)
    before.push_back({m.state, m.leaf, m.state[m.leaf].value(), m.state[m.leaf].grad(), m.state.frozen(m.leaf)});
  rollback.add([before = std::move(before)]() mutable {
    for (Before& b : before) {
      assign({b.state, b.leaf, b.value, b.frozen});
      if (b.grad.defined()) b.state.set_grad(b.leaf, b.grad);
    }
  });
  for (const Assignment& m : assignments) assign(m);
}

}  // namespace

void restore(const std::filesystem::path& path, const Problems& problems, const std::vector<Assignment>& leaves,
             const std::vector<PartAssignment>& parts) {
  if (!problems.empty())
    throw ValueError(fmt::format("[checkpoint] load: {} does not fit and nothing was loaded; {} problem{}:\n  {}",
                                 path.string(), problems.size(), problems.size() == 1 ? "" : "s",
                                 fmt::join(problems, "\n  ")));
  Rollback rollback;
  assign_leaves(leaves, rollback);
  for (const auto& [saved, part] : parts) {
    rollback.add([part = part, old = part->save_state()]() { part->load_state(old); });
    part->load_state(*saved);
  }
  rollback.done();
}

}  // namespace vg::checkpoint
