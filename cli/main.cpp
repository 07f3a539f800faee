// voxgrad shows, compares, checks and converts files of weights, and runs models. `voxgrad --help` lists the commands.
//
// Exit status: 0 success; 1 the files differ (diff) or the file is missing or damaged (verify); 2 any other failure.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.hpp"
#include "voxgrad/framework/base/quote.hpp"

namespace {

int failed(const std::exception& e, int status) {
  std::cerr << "voxgrad: " << e.what() << '\n';
  return status;
}

/// The number of insertions, deletions, replacements and swaps of neighbouring letters that turn one word into the
/// other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i)
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

/// The message for a first word that is not a command; empty if it is one.
std::string unknown_command(const CLI::App& app, const std::string& word) {
  std::string known, nearest;
  std::size_t least = 3;  // with more than two changes it is a different word
  for (const CLI::App* command : app.get_subcommands({})) {
    const std::string& name = command->get_name();
    if (word == name) return "";
    known += (known.empty() ? "" : ", ") + name;
    const std::size_t d = word.size() > 32 ? least : distance(word, name);
    if (d < least) least = d, nearest = name;
  }
  return "unknown command " + vg::in_quotes(word) + (nearest.empty() ? "" : "; did you mean " + nearest + "?") +
         "\nCommands are " + known + ". voxgrad --help says what they do.";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Looks at files of weights (checkpoints, safetensors, npz), compares, checks and converts them.",
               "voxgrad");
  app.require_subcommand(1);
  app.set_version_flag("--version", "voxgrad " VOXGRAD_VERSION);
  std::string file, other, to, result;

  CLI::App* show = app.add_subcommand("show", "Prints the tree of what a file holds, with shapes and statistics");
  show->add_option("FILE", file)->required();
  CLI::App* diff = app.add_subcommand("diff", "Prints what differs between two files; status 1 when anything does");
  diff->add_option("A", file)->required();
  diff->add_option("B", other)->required();
  CLI::App* verify = app.add_subcommand("verify", "Reads all of a file and its checksums; status 1 when it is damaged");
  verify->add_option("FILE", file)->required();
  CLI::App* convert = app.add_subcommand("convert", "Writes a file's contents in another format");
  convert->add_option("FILE", file)->required();
  convert->add_option("--to", to, "json, base64, safetensors or npz")
      ->required()
      ->check(CLI::IsMember({"json", "base64", "safetensors", "npz"}));
  convert->add_option("-o,--output", result, "The file to write")->required();
  CLI::App* predict = app.add_subcommand("predict", "Runs a checkpoint's model on a NIfTI volume");
  command::PredictOptions how;
  predict->add_option("FILE", file, "A checkpoint with a model of voxgrad's own layers")->required();
  predict->add_option("IN", other, "A volume (.nii, .nii.gz), prepared as in training")->required();
  predict->add_option("OUT", result, "The model's output, or its labels")->required();
  predict->add_flag("--labels", how.labels, "Write the channel with the largest value");
  CLI::Option* window =
      predict->add_option("--window", how.window, "H W D: run on windows of this size, blended where they overlap")
          ->expected(3);
  predict->add_option("--overlap", how.overlap, "The fraction by which windows overlap (0.5)")->needs(window);
  if (argc > 1 && argv[1][0] != '-')
    if (const std::string said = unknown_command(app, argv[1]); !said.empty()) {
      std::cerr << "voxgrad: " << said << '\n';
      return 2;
    }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  const auto run = [&] {
    if (*show) return command::show(file, std::cout);
    if (*diff) return command::diff(file, other, std::cout);
    if (*verify) return command::verify(file, std::cout);
    if (*predict) return command::predict(file, other, result, how, std::cout);
    return command::convert(file, to, result, std::cout);
  };
  try {
    const int status = run();
    if (!std::cout.flush()) throw std::runtime_error("the standard output cannot be written to: it is incomplete");
    return status;
  } catch (const std::exception& e) {
    return failed(e, *verify ? 1 : 2);
  }
}
