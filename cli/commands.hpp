// The subcommands of the program `voxgrad`: one function per subcommand, which prints to `out` and returns the exit
// status. Exceptions of the readers and writers pass through; main() prints them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

namespace command {

namespace fs = std::filesystem;

/// Prints the tree of a file's contents, with each tensor's dtype, shape and statistics.
int show(const fs::path& file, std::ostream& out);
/// Prints the differences between two files by name. Returns 1 if there are any.
int diff(const fs::path& a, const fs::path& b, std::ostream& out);
/// Reads the whole file, checks its checksums, and prints a summary.
int verify(const fs::path& file, std::ostream& out);
/// Writes a file's contents as `to`: "json", "base64", "safetensors" or "npz". Prints a note on contents that the
/// format cannot hold.
int convert(const fs::path& file, const std::string& to, const fs::path& result, std::ostream& out);
struct PredictOptions {
  bool labels = false;                 ///< write the channel with the largest value, in the smallest unsigned type
  std::vector<std::int64_t> window{};  ///< H, W, D: run the model on windows of this size; empty: on all
  double overlap = 0.5;                ///< of neighbouring windows, a fraction in [0, 1)
};
/// Runs the model of a checkpoint on a volume, in evaluation mode and in the model's dtype: the volume's axes and
/// channels are the model's input, (1, H, W, D, C). The output must have the input's H, W, D and keeps its affine.
int predict(const fs::path& checkpoint, const fs::path& volume, const fs::path& result, const PredictOptions& options,
            std::ostream& out);

}  // namespace command
