// A benchmark's command line. CLI11 reads it, in options.cpp alone: its header takes the compiler about five seconds.
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

/// Lets a value through or not, and says in the help which.
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
  /// Where the value goes; what stands there is the default. A bool is a flag; a list is separated by commas.
  std::variant<bool*, int*, unsigned*, std::int64_t*, std::uint64_t*, double*, std::string*, std::vector<std::string>*>
      value;
  std::string help{};
  Check check{};
  bool default_in_help = false;
};
inline constexpr bool with_default = true;

/// Takes the values from the command line. Gives the program's exit status if it is to end at once: after --help, or
/// after a message about a mistake.
std::optional<int> parse_options(int argc, char** argv, const std::string& about, const std::vector<Option>& options);

}  // namespace bench
