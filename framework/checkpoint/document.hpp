// The contents of a checkpoint file as plain data, independent of Module. The reader makes a Document; the writer
// prints one.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/nn/description.hpp"

namespace vg::checkpoint {

inline constexpr const char* format_name = "voxgrad-checkpoint";
inline constexpr int format_version = 3;
/// The maximum number of nested objects and arrays. The reader and the writer both enforce it.
inline constexpr int max_depth = 128;
/// The maximum number of keys per object, and of bytes per name or text. Both sides enforce these too, so that every
/// written file can be read.
inline constexpr std::size_t max_keys = 1000000;
inline constexpr std::size_t max_text = std::size_t{1} << 24;
/// The only generator algorithm so far: Threefry-2x32 with 20 rounds.
inline constexpr const char* generator_name = "threefry2x32";

struct SavedState {
  std::string kind;
  std::vector<std::pair<std::string, Tensor>> leaves;
  std::vector<std::string> frozen{};  ///< names of leaves
};

struct SavedModel {
  ModuleConfig description;
  std::vector<std::pair<std::string, SavedState>> states;
};

struct Document {
  int version = format_version;  ///< of the file that was read
  bool summed = false;           ///< whether that file had a checksum of the whole file, which was right
  Attributes progress;
  std::optional<random::Key> generator;
  std::optional<SavedModel> model;
  std::vector<std::pair<std::string, SavedModel>> models;  ///< by name; `model` is the one without a name
  std::optional<StateDict> optimizer;
  std::vector<std::pair<std::string, StateDict>> optimizers;
  std::vector<std::pair<std::string, StateDict>> parts;
};

/// Throws IoError for malformed files and wrong checksums, with the file, line, byte and JSON path.
Document read(const std::filesystem::path& path);
/// Writes atomically: see Checkpoint::save.
void write(const Document& document, const std::filesystem::path& path, const SaveOptions& options = {});

}  // namespace vg::checkpoint
