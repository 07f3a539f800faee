// The command line of a benchmark. Only options.cpp includes CLI11, because its header takes about five seconds to
// compile.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class Option;
}

namespace bench {

/// Accepts or rejects a value, and describes the accepted ones in the help.
using Check = std::function<void(CLI::Option&)>;
Check positive();
Check not_negative();
Check between(int low, int high);
Check between(unsigned low, unsigned high);
Check between(std::uint64_t low, std::uint64_t high);
Check one_of(std::vector<std::string> words);
Check existing_folder();

struct Option {
  std::string name;  ///< "--seconds"; "!--no-dom" is a flag that makes its value false
  /// The variable for the value; its current value is the default. A bool is a flag; a list is separated by commas.
  std::variant<bool*, int*, unsigned*, std::int64_t*, std::uint64_t*, double*, std::string*, std::vector<std::string>*>
      value;
  std::string help{};
  Check check{};
  bool default_in_help = false;
};
inline constexpr bool with_default = true;

/// Reads the values from the command line. Returns the exit status if the program must end at once, after --help or
/// after an error message.
std::optional<int> parse_options(int argc, char** argv, const std::string& about, const std::vector<Option>& options);

}  // namespace bench
