// Options of saving and loading checkpoints, and the report of a load.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace vg {

/// How a checkpoint's tensors are written. Both encodings are exact; a load detects which one was used.
enum class Encoding : std::uint8_t {
  decimal,  ///< readable; a changed value changes one line of a diff
  base64    ///< 1.34 bytes per byte, and fast
};

struct SaveOptions {
  Encoding encoding = Encoding::decimal;
  /// Also save a model that holds NaNs. Otherwise NonFiniteError names the state and the leaf.
  bool allow_nan = false;
};

/// The default is strict: the file's states must be the model's. Everything is checked before anything changes. A
/// whole, strict load also restores which leaves are frozen; any other load leaves that as it is.
///
///   vg::load(model, "old.json", {.strict = false});      // loads the leaves that fit; the report lists the rest
///   vg::load(model, "old.json", {.prefix = "encoder"});  // the encoder, all of it
///
///   // The encoder, from a file that calls it "backbone":
///   vg::load(model, "old.json", {.rename = {{"backbone", "encoder"}}, .prefix = "encoder"});
struct LoadOptions {
  /// Whether the kinds, options and names of the file's modules must be the model's. If false, only the states must
  /// fit, for example for a model with another dropout rate or initializer. Only a full, strict load checks them, one
  /// that uses none of the fields below.
  bool check_description = true;
  /// If false, leaves that fit are loaded; missing, unexpected and mismatched leaves are left as they are and reported.
  bool strict = true;
  /// Translates paths of the file to paths of the model: each pair replaces the path `first`, or the beginning `first`
  /// + "." of longer paths, by `second`; the longest match wins. An empty `first` matches the beginning of every path;
  /// an empty `second` removes the beginning.
  std::vector<std::pair<std::string, std::string>> rename{};
  /// Applied after `rename`: returns the new path, or "" to leave the state out.
  std::function<std::string(const std::string& path)> rename_with{};
  /// If not empty, only the model's states below this path (after renaming) are loaded and required.
  std::string prefix{};
  /// The name of the model that vg::load reads from a file with several models.
  std::string model{};

  bool whole() const { return rename.empty() && !rename_with && prefix.empty(); }
};

/// The result of a load. Leaves are named by the model's paths: "layers.0.weight.bias" is leaf "bias" of the state
/// "layers.0.weight". Other parts of a run are named "optimizer", "generator" and part "loader". The leaves of a model
/// with a name begin with it: model "critic": layers.0.weight.bias.
struct LoadReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     ///< required, but not in the file
  std::vector<std::string> unexpected;  ///< in the file, but not required
  std::vector<std::string> mismatched;  ///< in both; other kind, dtype or shape: "path: the file has ..., ..."

  /// Whether everything was loaded.
  bool complete() const { return missing.empty() && unexpected.empty() && mismatched.empty(); }
  /// The counts, then one line for each leaf or part that was not loaded.
  std::string str() const;
};

}  // namespace vg
