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
  /// (framework/checkpoint/async_checkpoint_writer.hpp). Throws ValueError if there is nothing to save.
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
