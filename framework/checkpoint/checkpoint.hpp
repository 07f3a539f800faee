// Checkpoint: everything that a run needs to go on, in one JSON file (docs/checkpoint-format.md).
//
//   vg::Checkpoint checkpoint;                       // refers to the parts, copies none
//   checkpoint.model(model).optimizer(optimizer).part("loader", loader);
//   checkpoint.progress = {{"step", 120}, {"best", 0.25}};
//   checkpoint.save("checkpoint.json");
//   ...
//   checkpoint.load("checkpoint.json");              // all of it, or an exception and nothing changed
//   auto step = checkpoint.value<std::int64_t>("step");
//
// The default random generator, which Dropout draws from, is saved and loaded with it.
//
// Several models and optimizers have names:
//
//   checkpoint.model("generator", g).optimizer("generator", og).model("critic", c).optimizer("critic", oc);
//
// vg::load_model (layers/registry/registry.hpp) makes the model that a file describes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/checkpoint/options.hpp"
#include "voxgrad/framework/checkpoint/snapshot.hpp"
#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg {

class Checkpoint {
 public:
  /// What belongs to the run. Each is referred to and must outlive the checkpoint's use. Throws ValueError for a second
  /// model, optimizer or generator, and for a second model, optimizer or part of the same name.
  Checkpoint& model(Module& model);
  Checkpoint& model(std::string name, Module& model);
  Checkpoint& optimizer(Stateful& optimizer);
  Checkpoint& optimizer(std::string name, Stateful& optimizer);
  /// In place of the default generator (random::default_generator() of the thread that saves or loads), which belongs
  /// to every checkpoint. A file without one, as older ones are, is loaded all the same and leaves the default as it
  /// is.
  Checkpoint& generator(random::Generator& generator);
  Checkpoint& part(std::string name, Stateful& part);

  /// Anything small that says how far the run is. Saved with the rest; load() replaces it.
  Attributes progress;
  /// The entry of `progress` with that name and type (bool, std::int64_t, double, std::string or a vector of the last
  /// three). Throws ValueError when there is none.
  template <class T>
  const T& value(std::string_view name) const {
    for (const auto& [key, v] : progress)
      if (key == name && std::holds_alternative<T>(v)) return std::get<T>(v);
    throw_no_value(name);
  }

  /// Writes a temporary file in the same folder and renames it, so that `path` holds either the old file or the whole
  /// new one. Throws IoError when the file cannot be written (the old one stays, the temporary is removed) and
  /// ValueError for what a checkpoint cannot hold: two things of one name, text that is not UTF-8, an undefined tensor,
  /// a module without a kind(); for a checkpoint that was given no model, optimizer, generator or part; NonFiniteError
  /// for NaNs in a model (SaveOptions::allow_nan).
  void save(const std::filesystem::path& path, const SaveOptions& options = {}) const;
  /// What save() would write now, for writing it on another thread (framework/checkpoint/async_checkpoint_writer.hpp). Throws
  /// ValueError where there is nothing to save.
  Snapshot snapshot() const;

  /// Strict, unless `options` say otherwise: the file must hold exactly the parts named above, and the model's states
  /// by path, kind, leaf, dtype and shape. Throws IoError for a file that is missing, truncated, malformed or whose
  /// checksums do not fit, and ValueError with the list of all that does not fit; in both cases nothing has changed.
  /// Gradients of loaded leaves are dropped; what was frozen is frozen again, and nothing else. Not strict, a part that
  /// does not fit is left as it is and reported.
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

/// A checkpoint of only a model, without the generator.
void save(const Module& model, const std::filesystem::path& path, const SaveOptions& options = {});
/// The model out of any checkpoint, as strict as Checkpoint::load about the model; what else the file holds is read and
/// left. Of a file with several, the one that options.model names. A file without that model is a ValueError.
LoadReport load(Module& model, const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace vg
