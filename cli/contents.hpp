// The contents of a weights file of any format: a flat list of named tensors and facts, so that two files can be
// compared and any file can be shown.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/formats/named_tensors.hpp"

namespace command {

/// The name of the checkpoint part that holds the tensors of a file without a model.
inline constexpr const char* plain_part = "tensors";

struct Contents {
  std::string format;  ///< "checkpoint", "safetensors", "npz"
  /// A checkpoint's tensors are named "model.layers.0.weight.bias", "optimizer.m...", "parts.loader....", and with
  /// several models and optimizers "models.critic.layers...", "optimizers.critic.m...". If the part `plain_part` is the
  /// only content, its tensors have their own names.
  vg::NamedTensors tensors;
  /// Everything else, as text: "progress.step", "120".
  std::vector<std::pair<std::string, std::string>> facts;
  std::optional<vg::checkpoint::Document> document;  ///< set for a checkpoint
  bool plain = true;                                 ///< there is no model: the part `plain_part` is the only content

  /// A note on the bytes that reading could not check; empty if every byte is checked.
  std::string unchecked() const;
  /// "checkpoint, 12 tensors, 341000 elements, 1364000 bytes"
  std::string summary() const;
};

/// Reads a file of any of the three formats, recognised by content. Throws IoError for any other or damaged file.
Contents read_contents(const std::filesystem::path& path);

/// "[1, 2]", "0.5", "text"
std::string text_of(const vg::Value& value);
/// A string of a file, safe for the terminal: quoted and escaped if it has characters that a terminal would interpret
/// (control characters, marks of bidirectional text).
std::string printable(const std::string& text);

}  // namespace command
