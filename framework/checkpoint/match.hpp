// What does not fit between a file and what it is loaded into, as lines for one message.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/state.hpp"

namespace vg::checkpoint {

using Problems = std::vector<std::string>;

/// Where a saved tensor goes.
struct Assignment {
  State state;
  std::string leaf;
  Tensor value;
  std::optional<bool> frozen{};  ///< for a whole, strict load: what the file says

  void apply();
};

/// The entries of a file, given by their paths, that the options ask for: (the path that it has in the model, its index
/// in `paths`). Two entries for one path are a problem; strict, so is a pair of `rename` that no path begins with.
/// `entries` names them in messages: "states".
std::vector<std::pair<std::string, std::size_t>> select_paths(const std::vector<std::string>& paths,
                                                              std::string_view entries, const LoadOptions& options,
                                                              Problems& problems);
/// The file's model of that name, "" for the one without; nullptr and a problem that lists the names where there is
/// none.
const SavedModel* find_model(const Document& file, const std::string& name, Problems& problems);
/// What of the file goes into which states, as the options say. Strict: all of it, or problems: missing and unexpected
/// states and leaves; other kinds, dtypes and shapes; a prefix or rename that meets nothing. Else what fits, and the
/// rest into the report. Two states of the file for one of the model are always a problem.
std::vector<Assignment> match_states(const SavedModel& saved, const States& states, const LoadOptions& options,
                                     LoadReport& report, Problems& problems);
/// Other kinds, options and children, whatever their order.
void match_description(const ModuleConfig& saved, const ModuleConfig& now, Problems& problems);
/// What `part` says of `saved`; an exception of its check is a problem like another.
void match_part(const std::string& name, const StateDict& saved, const Stateful& part, Problems& problems);

}  // namespace vg::checkpoint
