#include "options.hpp"

#include <type_traits>
#include <utility>

#include <CLI/CLI.hpp>

namespace bench {

namespace {

template <class Validator>
Check checks(Validator validator) {
  return [validator = std::move(validator)](CLI::Option& option) { option.check(validator); };
}

template <class T>
void add(CLI::App& app, const Option& o, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    app.add_flag(o.name, value, o.help);
  } else {
    CLI::Option& added = *app.add_option(o.name, value, o.help);
    if constexpr (std::is_same_v<T, std::vector<std::string>>) added.delimiter(',');
    if (o.check) o.check(added);
    if (o.default_in_help) added.capture_default_str();
  }
}

}  // namespace

Check positive() { return checks(CLI::PositiveNumber); }
Check not_negative() { return checks(CLI::NonNegativeNumber); }
Check between(int low, int high) { return checks(CLI::Range(low, high)); }
Check between(unsigned low, unsigned high) { return checks(CLI::Range(low, high)); }
Check between(std::uint64_t low, std::uint64_t high) { return checks(CLI::Range(low, high)); }
Check one_of(std::vector<std::string> words) { return checks(CLI::IsMember(std::move(words))); }
Check existing_folder() { return checks(CLI::ExistingDirectory); }

std::optional<int> parse_options(int argc, char** argv, const std::string& about, const std::vector<Option>& options) {
  CLI::App app(about);
  for (const Option& o : options) std::visit([&](auto* value) { add(app, o, *value); }, o.value);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e);
  }
  return std::nullopt;
}

}  // namespace bench
