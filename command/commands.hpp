// The subcommands of the program `voxgrad`: a function each, which prints to `out` and gives the exit status. They
// throw what the readers and writers throw; main() prints that.
#pragma once

#include <filesystem>
#include <ostream>
#include <string>

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

}  // namespace command
