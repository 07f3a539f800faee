// The subcommands of the program `voxgrad`: a function each, which prints to `out` and gives the exit status. They
// throw what the readers and writers throw; main() prints that.
#pragma once

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

namespace command {

namespace fs = std::filesystem;

/// The tree of what stands in a file, with each tensor's dtype, shape and statistics.
int show(const fs::path& file, std::ostream& out);
/// What differs between two files, by name. 1 when anything does.
int diff(const fs::path& a, const fs::path& b, std::ostream& out);
/// Reads all of a file and its checksums, and says what it holds.
int verify(const fs::path& file, std::ostream& out);
/// Writes a file's contents as `to`: "json", "base64", "safetensors", "npz". Says what the format has no place for.
int convert(const fs::path& file, const std::string& to, const fs::path& result, std::ostream& out);
struct PredictOptions {
  bool labels = false;                 ///< write the channel with the largest value, in the smallest unsigned type
  std::vector<std::int64_t> window{};  ///< H, W, D: the model sees windows of this size; none: the volume whole
  double overlap = 0.5;                ///< of neighbouring windows, in [0, 1)
};
/// Runs the model of a checkpoint on a volume, in evaluation mode and in the model's dtype: the volume's axes and
/// channels are the model's input, (1, H, W, D, C). The output must have the input's H, W, D and keeps its affine.
int predict(const fs::path& checkpoint, const fs::path& volume, const fs::path& result, const PredictOptions& options,
            std::ostream& out);

}  // namespace command
