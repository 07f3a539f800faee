#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/contents.hpp"
#include "voxgrad/framework/formats/npz.hpp"
#include "voxgrad/framework/formats/safetensors.hpp"

namespace command {

namespace {

/// The strings for safetensors' metadata: the file's own, or a checkpoint's progress.
std::vector<std::pair<std::string, std::string>> metadata_of(const Contents& contents) {
  if (contents.plain) return contents.facts;
  std::vector<std::pair<std::string, std::string>> texts;
  for (const auto& [name, text] : contents.facts)
    if (name.starts_with("progress.")) texts.emplace_back(name, text);
  return texts;
}

/// Makes a checkpoint of a file without a model: one part, with the strings as its values.
vg::checkpoint::Document document_of(Contents contents) {
  if (contents.document) return std::move(*contents.document);
  vg::StateDict bundle;
  for (auto& [key, text] : contents.facts) bundle.values.emplace_back(key, std::move(text));
  bundle.tensors = std::move(contents.tensors);
  vg::checkpoint::Document document;
  document.parts.emplace_back(plain_part, std::move(bundle));
  return document;
}

}  // namespace

int convert(const fs::path& file, const std::string& to, const fs::path& result, std::ostream& out) {
  Contents contents = read_contents(file);
  const std::string summary = contents.summary();
  std::string lost;
  if (to == "safetensors") {
    const auto metadata = metadata_of(contents);
    vg::write_safetensors(result, contents.tensors, metadata);
    if (metadata.size() < contents.facts.size())
      lost = fmt::format("safetensors has no place for {} values and descriptions: they are left out",
                         contents.facts.size() - metadata.size());
  } else if (to == "npz") {
    vg::write_npz(result, contents.tensors);
    if (!contents.facts.empty())
      lost = fmt::format("npz has no place for {} values and descriptions: they are left out", contents.facts.size());
  } else {
    const auto encoding = to == "base64" ? vg::Encoding::base64 : vg::Encoding::decimal;
    vg::checkpoint::write(document_of(std::move(contents)), result, {.encoding = encoding});
  }
  out << fmt::format("{}: {} -> {}\n", file.string(), summary, result.string());
  if (!lost.empty()) out << "note: " << lost << '\n';
  return 0;
}

}  // namespace command
