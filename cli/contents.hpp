// What stands in a file of weights, whatever its format: tensors and facts by name, flat, so that two files can be
// compared and any of them shown.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/formats/named_tensors.hpp"

namespace command {

/// The part of a checkpoint that holds the tensors of a file which knows no model.
inline constexpr const char* plain_part = "tensors";

struct Contents {
  std::string format;  ///< "checkpoint", "safetensors", "npz"
  /// A checkpoint's are named "model.layers.0.weight.bias", "optimizer.m...", "parts.loader....", those of several
  /// models and optimizers "models.critic.layers...", "optimizers.critic.m..."; those of a part `plain_part` that is
  /// all there is, as they are.
  vg::NamedTensors tensors;
  /// Everything else, as text: "progress.step", "120".
  std::vector<std::pair<std::string, std::string>> facts;
  std::optional<vg::checkpoint::Document> document;  ///< of a checkpoint
  bool plain = true;                                 ///< it knows no model: a part `plain_part` is all there is

  /// What reading has checked, where that is less than every byte; else empty.
  std::string unchecked() const;
  /// "checkpoint, 12 tensors, 341000 elements, 1364000 bytes"
  std::string summary() const;
};

/// Reads a file of any of the three formats, told by its content. Throws IoError for one that is none or is damaged.
Contents read_contents(const std::filesystem::path& path);

/// "[1, 2]", "0.5", "text"
std::string text_of(const vg::Value& value);
/// A text of a file for the terminal: in quotes and escaped when it has characters that a terminal would obey (control
/// characters, marks of bidirectional text).
std::string printable(const std::string& text);
/// "f32 (3, 4)"
std::string type_of(const vg::Tensor& tensor);

}  // namespace command
