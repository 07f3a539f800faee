// Checkpoint: everything that a run needs to continue, in one JSON file (docs/checkpoint-format.md).
//
//   vg::Checkpoint checkpoint;                       // refers to the parts, copies none
//   checkpoint.model(model).optimizer(optimizer).part("loader", loader);
//   checkpoint.progress = {{"step", 120}, {"best", 0.25}};
//   checkpoint.save("checkpoint.json");
//   ...
//   checkpoint.load("checkpoint.json");              // loads all of it, or throws and changes nothing
//   auto step = checkpoint.value<std::int64_t>("step");
//
// The default random generator, which Dropout uses, is saved and loaded too.
//
// Several models and optimizers have names:
//
//   checkpoint.model("generator", g).optimizer("generator", og).model("critic", c).optimizer("critic", oc);
//
// vg::load_model (layers/registry/registry.hpp) makes the model that a file describes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/module.hpp"

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

namespace checkpoint {
struct Document;
}

/// The data that a checkpoint would write, kept apart from the run, so that another thread can write it while training
/// goes on. Checkpoint::snapshot() makes one in microseconds: its tensors are shared with the run, and code that
/// changes one copies it first (State::writable, optimizers). A Snapshot belongs to one thread at a time; it may be
/// moved to another.
class Snapshot {
 public:
  explicit Snapshot(checkpoint::Document document);
  ~Snapshot();
  Snapshot(Snapshot&&) noexcept;
  Snapshot& operator=(Snapshot&&) noexcept;

  /// Copies the tensors, so that none is shared any more. If the saving thread calls this while the next step computes
  /// its gradients, the optimizer need not copy them.
  void detach();
  /// Throws NonFiniteError if a model holds a NaN or an infinity; the message names the first state and leaf.
  void require_finite() const;
  /// Writes the file as Checkpoint::save does.
  void save(const std::filesystem::path& path, const SaveOptions& options = {}) const;

 private:
  std::unique_ptr<checkpoint::Document> document_;
};

class Checkpoint {
 public:
  /// Adds a part of the run. The checkpoint keeps a reference, so the part must outlive the checkpoint's use. Throws
  /// ValueError for a second model, optimizer or generator without a name, and for a second model, optimizer or part of
  /// the same name.
  Checkpoint& model(Module& model);
  Checkpoint& model(std::string name, Module& model);
  Checkpoint& optimizer(Stateful& optimizer);
  Checkpoint& optimizer(std::string name, Stateful& optimizer);
  /// Replaces the default generator (random::default_generator() of the thread that saves or loads), which every
  /// checkpoint holds. A file without a generator, such as an older one, can still be loaded; the default generator is
  /// then unchanged.
  Checkpoint& generator(random::Generator& generator);
  Checkpoint& part(std::string name, Stateful& part);

  /// Small values that say how far the run is. They are saved with the rest; load() replaces them.
  Attributes progress;
  /// The entry of `progress` with that name and type (bool, std::int64_t, double, std::string or a vector of one of the
  /// last three). Throws ValueError if there is none.
  template <class T>
  const T& value(std::string_view name) const {
    for (const auto& [key, v] : progress)
      if (key == name && std::holds_alternative<T>(v)) return std::get<T>(v);
    throw_no_value(name);
  }

  /// Writes a temporary file in the same folder and renames it, so that `path` holds either the old file or the
  /// complete new one. Throws IoError if the file cannot be written (the old one stays, the temporary is removed);
  /// ValueError for content that a checkpoint cannot hold: a name that is used twice, text that is not UTF-8, an
  /// undefined tensor, a module without a kind(); ValueError for a checkpoint without a model, optimizer, generator or
  /// part; and NonFiniteError for NaNs in a model (SaveOptions::allow_nan).
  void save(const std::filesystem::path& path, const SaveOptions& options = {}) const;
  /// The data that save() would write now, so that another thread can write it
  /// (framework/checkpoint/checkpoint_manager.hpp). Throws ValueError if there is nothing to save.
  Snapshot snapshot() const;

  /// The default is strict: the file must hold exactly the parts given above, and the model's states with the same
  /// paths, kinds, leaves, dtypes and shapes. Throws IoError for a file that is missing, truncated or malformed or
  /// whose checksums are wrong, and ValueError with a list of everything that does not fit; in both cases nothing has
  /// changed. Gradients of loaded leaves are dropped. Exactly the leaves that were frozen are frozen again. If
  /// `options` are not strict, a part that does not fit is left unchanged and reported.
  LoadReport load(const std::filesystem::path& path, const LoadOptions& options = {});

 private:
  [[noreturn]] static void throw_no_value(std::string_view name);

  Module* model_ = nullptr;
  std::vector<std::pair<std::string, Module*>> models_;
  Stateful* optimizer_ = nullptr;
  std::vector<std::pair<std::string, Stateful*>> optimizers_;
  random::Generator* generator_ = nullptr;
  std::vector<std::pair<std::string, Stateful*>> parts_;
};

/// Saves a checkpoint that holds only a model, without the generator.
void save(const Module& model, const std::filesystem::path& path, const SaveOptions& options = {});
/// Loads the model from any checkpoint, and is as strict about it as Checkpoint::load. The rest of the file is read and
/// ignored. If the file holds several models, options.model selects one by name. Throws ValueError if the file does not
/// hold that model.
LoadReport load(Module& model, const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace vg
