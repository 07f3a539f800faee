// How a checkpoint is written, how it is loaded, and what a load says of what it did.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace vg {

/// How a checkpoint's tensors are written. Both hold every bit; a load knows which it was by itself.
enum class Encoding : std::uint8_t {
  decimal,  ///< readable, and a changed value changes a line of a diff
  base64    ///< 1.34 bytes a byte, and fast
};

struct SaveOptions {
  Encoding encoding = Encoding::decimal;
  /// Save a model that holds NaNs, too: without it that is a NonFiniteError naming the state and the leaf.
  bool allow_nan = false;
};

/// Strict unless told otherwise: the file's states must be the model's. What is to be loaded is checked whole before
/// anything changes. A whole, strict load also brings back what was frozen; any other leaves that as it is.
///
///   vg::load(model, "old.json", {.strict = false});      // what fits; the report says the rest
///   vg::load(model, "old.json", {.prefix = "encoder"});  // the encoder, all of it
///   vg::load(model, "old.json", {.rename = {{"backbone", "encoder"}}, .prefix = "encoder"});  // from another place
struct LoadOptions {
  /// Whether the kinds, options and names of the file's modules must be the model's. Without it only the states must
  /// fit: for a model that was made with, say, another dropout rate or initializer. Checked only by a full, strict load:
  /// none of the fields below is used.
  bool check_description = true;
  /// false: what fits is loaded; what is missing, unexpected or mismatched is left as it is and reported.
  bool strict = true;
  /// Paths of the file as paths of the model: each pair replaces the path `first`, or the beginning `first` + "." of
  /// longer ones, by `second`; the longest that fits wins. An empty `first` stands before every path, an empty `second`
  /// takes the beginning away.
  std::vector<std::pair<std::string, std::string>> rename{};
  /// After that, for all else: the new path, or "" to leave the state out.
  std::function<std::string(const std::string& path)> rename_with{};
  /// Not empty: only the model's states below this path (after renaming) are loaded and asked for.
  std::string prefix{};
  /// Which model of the file vg::load takes, where it holds several by name.
  std::string model{};

  bool whole() const { return rename.empty() && !rename_with && prefix.empty(); }
};

/// What a load did. Leaves are named by the model's paths: "layers.0.weight.bias" is leaf "bias" of the state
/// "layers.0.weight"; the other parts of a run as "optimizer", "generator" and part "loader"; those of a model with a
/// name begin with it: model "critic": layers.0.weight.bias.
struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     ///< asked for, not in the file
  std::vector<std::string> unexpected;  ///< in the file, not asked for
  std::vector<std::string> mismatched;  ///< in both, of another kind, dtype or shape: "path: the file has ..., ..."

  /// Whether nothing was left over.
  bool complete() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// The counts, then a line for each that was not loaded.
  std::string str() const;
};

}  // namespace vg
