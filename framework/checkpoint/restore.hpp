// Compares a file with the models and parts that it is loaded into, each difference as one line of a message, and loads
// all of them or none.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/module.hpp"
#include "voxgrad/framework/nn/state.hpp"

namespace vg::checkpoint {

using Problems = std::vector<std::string>;

/// A saved tensor and the leaf that receives it.
struct Assignment {
  State state;
  std::string leaf;
  Tensor value;
  std::optional<bool> frozen{};  ///< the saved flag, in a whole and strict load only
};

/// Selects the entries of a file, given by their paths, as the options say. Returns pairs (path in the model, index in
/// `paths`). Two entries for one path are a problem; in strict mode, so is a pair of `rename` that matches no path.
/// `entries` names the entries in messages: "states".
std::vector<std::pair<std::string, std::size_t>> select_paths(const std::vector<std::string>& paths,
                                                              std::string_view entries, const LoadOptions& options,
                                                              Problems& problems);
/// The file's model of that name, or the one without a name for "". If there is none, returns nullptr and adds a
/// problem that lists the names.
const SavedModel* find_model(const Document& file, const std::string& name, Problems& problems);
/// The assignments of saved leaves to a model's states, as the options say. Strict: everything must fit, else there are
/// problems: missing and unexpected states and leaves; different kinds, dtypes and shapes; a prefix or rename that
/// matches nothing; different kinds, options and children of modules. Not strict: assigns the leaves that fit and
/// reports the rest. Two states of the file for one of the model are always a problem.
std::vector<Assignment> match_model(const SavedModel& saved, Module& model, const LoadOptions& options,
                                    LoadReport& report, Problems& problems);
/// Adds the problems that part.check_state(saved) returns; its exceptions become problems too.
void match_part(const std::string& name, const StateDict& saved, const Stateful& part, Problems& problems);

/// A saved part and the object that receives it.
using PartAssignment = std::pair<const StateDict*, Stateful*>;
/// Assigns everything. If there are problems, throws ValueError that lists them; if a part throws, what was assigned
/// before gets its old contents back.
void restore(const std::filesystem::path& path, const Problems& problems, const std::vector<Assignment>& leaves,
             const std::vector<PartAssignment>& parts = {});

}  // namespace vg::checkpoint
