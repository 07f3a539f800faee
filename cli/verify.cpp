#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/contents.hpp"

namespace command {

// The readers check everything that a file declares, and its checksums if the format has them.
int verify(const fs::path& file, std::ostream& out) {
  const Contents contents = read_contents(file);
  if (const std::string limits = contents.unchecked(); limits.empty())
    out << fmt::format("{}: whole, its checksums are right: {}\n", file.string(), contents.summary());
  else
    out << fmt::format("{}: consistent: {}\n  {}\n", file.string(), contents.summary(), limits);
  return 0;
}

}  // namespace command
