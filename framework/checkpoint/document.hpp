// What stands in a checkpoint file, as plain data: the reader makes one, the writer prints one, and neither knows a
// Module.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/checkpoint/options.hpp"
#include "voxgrad/framework/nn/description.hpp"

namespace vg::checkpoint {

inline constexpr const char* format_name = "voxgrad-checkpoint";
inline constexpr int format_version = 3;
/// Open objects and arrays at once. The reader refuses more, so the writer does too.
inline constexpr int max_depth = 128;
/// Keys of one object, and bytes of one name or text. The same holds: what was written can be read.
inline constexpr std::size_t max_keys = 1000000;
inline constexpr std::size_t max_text = std::size_t{1} << 24;
/// The only scheme of a generator so far: Threefry-2x32, 20 rounds.
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
  bool summed = false;           ///< whether that file had a checksum of the whole (which was right)
  Attributes progress;
  std::optional<random::Key> generator;
  std::optional<SavedModel> model;
  std::vector<std::pair<std::string, SavedModel>> models;  ///< by name, beside the one without
  std::optional<StateDict> optimizer;
  std::vector<std::pair<std::string, StateDict>> optimizers;
  std::vector<std::pair<std::string, StateDict>> parts;
};

/// Throws IoError naming the file, line, byte and JSON path of what is wrong; checksums that do not fit among it.
Document read(const std::filesystem::path& path);
/// Atomic: see Checkpoint::save.
void write(const Document& document, const std::filesystem::path& path, const SaveOptions& options = {});

}  // namespace vg::checkpoint
