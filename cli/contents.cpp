#include "cli/contents.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/formats/npz.hpp"
#include "voxgrad/framework/formats/random_access_file.hpp"
#include "voxgrad/framework/formats/safetensors.hpp"

namespace command {

namespace {

using vg::checkpoint::Document;

std::string joined(const std::string& a, const std::string& b) { return a.empty() ? b : a + "." + b; }

void add_values(const std::string& name, const vg::Attributes& values, Contents& out) {
  for (const auto& [key, value] : values) out.facts.emplace_back(joined(name, key), text_of(value));
}

void add_bundle(const std::string& name, const vg::StateDict& bundle, Contents& out) {
  add_values(name, bundle.values, out);
  for (const auto& [key, tensor] : bundle.tensors) out.tensors.emplace_back(joined(name, key), tensor);
  for (const auto& [key, part] : bundle.parts) add_bundle(joined(name, key), part, out);
}

void add_description(const std::string& name, const vg::ModuleConfig& d, Contents& out) {
  out.facts.emplace_back(name, d.kind);
  add_values(name, d.options, out);
  for (const auto& [key, child] : d.children) add_description(joined(name, key), child, out);
}

void add_model(const std::string& name, const vg::checkpoint::SavedModel& model, Contents& out) {
  add_description(name, model.description, out);
  for (const auto& [path, state] : model.states) {
    const std::string of = joined(name, path);
    out.facts.emplace_back(of, state.kind);
    if (!state.frozen.empty())
      out.facts.emplace_back(joined(of, "frozen"), fmt::format("[{}]", fmt::join(state.frozen, ", ")));
    for (const auto& [leaf, tensor] : state.leaves) out.tensors.emplace_back(joined(of, leaf), tensor);
  }
}

void add_document(const Document& d, Contents& out) {
  add_values("progress", d.progress, out);
  if (d.generator)
    out.facts.emplace_back("generator.key", fmt::format("[{}, {}]", (*d.generator)[0], (*d.generator)[1]));
  if (d.model) add_model("model", *d.model, out);
  for (const auto& [name, model] : d.models) add_model(joined("models", name), model, out);
  if (d.optimizer) add_bundle("optimizer", *d.optimizer, out);
  for (const auto& [name, optimizer] : d.optimizers) add_bundle(joined("optimizers", name), optimizer, out);
  out.plain = !d.model && d.models.empty() && !d.optimizer && d.optimizers.empty() && d.parts.size() == 1 &&
              d.parts.front().first == plain_part;
  for (const auto& [name, part] : d.parts) add_bundle(out.plain ? "" : joined("parts", name), part, out);
}

/// Recognises the format by the first bytes. A safetensors file has 8 bytes of length, the highest of which is 0 in any
/// file, before a brace; this is checked first, because a length may begin with any letters. A zip archive has a magic.
/// Otherwise it is JSON, which has no byte 0.
std::string format_of(const std::filesystem::path& path) {
  const vg::detail::RandomAccessFile file("[voxgrad]", path);
  std::string begin(static_cast<std::size_t>(std::min<std::int64_t>(9, file.size())), '\0');
  file.read(0, begin.data(), static_cast<std::int64_t>(begin.size()), "its first bytes");
  if (begin.size() == 9 && begin[7] == '\0' && begin[8] == '{') return "safetensors";
  return begin.starts_with("PK") ? "npz" : "checkpoint";
}

}  // namespace

std::string text_of(const vg::Value& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>)
          return v;
        else if constexpr (std::is_arithmetic_v<T>)
          return fmt::format("{}", v);
        else
          return fmt::format("[{}]", fmt::join(v, ", "));
      },
      value);
}

std::string printable(const std::string& text) {
  std::string escaped = vg::escaped(text);
  return escaped == text ? text : fmt::format("\"{}\"", escaped);
}

std::string Contents::unchecked() const {
  if (format == "safetensors")
    return "header, shapes and offsets fit the file; safetensors has no checksum, so changed values are not found";
  if (document && !document->summed)
    return "the file has no checksum of the whole, so only the tensors that have their own are verified";
  return "";
}

std::string Contents::summary() const {
  std::int64_t elements = 0, bytes = 0;
  for (const auto& [name, tensor] : tensors) elements += tensor.numel(), bytes += tensor.bytes();
  return fmt::format("{}, {} tensors, {} elements, {} bytes", format, tensors.size(), elements, bytes);
}

Contents read_contents(const std::filesystem::path& path) {
  Contents out;
  out.format = format_of(path);
  if (out.format == "npz") {
    out.tensors = vg::read_npz(path);
  } else if (out.format == "safetensors") {
    vg::SafetensorsFile file = vg::read_safetensors(path);
    out.tensors = std::move(file.tensors);
    out.facts = std::move(file.metadata);
  } else {
    out.document = vg::checkpoint::read(path);
    add_document(*out.document, out);
  }
  return out;
}

}  // namespace command
