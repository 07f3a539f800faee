// Writes a Document as JSON, key by key the counterpart of read.cpp.
#include <zlib.h>

#include <cmath>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/printer.hpp"

namespace vg::checkpoint {

namespace {

// Values whose type plain JSON would lose are written as an object whose one key is the type: numbers that are written
// as strings, and empty lists.
template <class F>
void tagged(Printer& out, bool tag, std::string_view type, F&& print_it) {
  if (tag) out.open_tag(type);
  print_it();
  if (tag) out.close_tag();
}

struct PrintValue {
  Printer& out;
  void operator()(bool v) const { out.boolean(v); }
  void operator()(std::int64_t v) const { out.integer(v); }
  void operator()(double v) const {
    tagged(out, !std::isfinite(v), "f64", [&] { out.real(v); });
  }
  void operator()(const std::string& v) const { out.text(v); }
  void operator()(const std::vector<std::int64_t>& v) const {
    tagged(out, v.empty(), "i64", [&] { out.list(v.data(), static_cast<std::int64_t>(v.size()), 16); });
  }
  void operator()(const std::vector<double>& v) const {
    bool tag = v.empty();
    for (double x : v) tag = tag || !std::isfinite(x);
    tagged(out, tag, "f64", [&] { out.reals(v); });
  }
  void operator()(const std::vector<std::string>& v) const {
    tagged(out, v.empty(), "string", [&] { out.texts(v); });
  }
};

void print_values(Printer& out, const Attributes& values) {
  out.open_object();
  for (const auto& [name, value] : values) {
    out.key(name);
    std::visit(PrintValue{out}, value);
  }
  out.close_object();
}

// The printer, and the encoding of tensors.
struct Out : Printer {
  Out(AtomicFile& file, Encoding e) : Printer(file), encoding(e) {}
  Encoding encoding;
};

void print_tensor(Out& out, const std::string& name, const Tensor& t) {
  out.key(name);
  if (!t.defined()) throw ValueError(fmt::format("[checkpoint] save: the tensor {} is undefined", in_quotes(name)));
  const auto* const bytes = static_cast<const unsigned char*>(t.raw());
  const auto size = static_cast<std::size_t>(t.bytes());
  out.open_object();
  out.key("dtype");
  out.text(name_of(t.dtype()));
  out.key("shape");
  out.list(t.shape().data(), t.rank(), Shape::max_rank);
  if (out.encoding == Encoding::base64) {
    out.key("encoding");
    out.text("base64");
  }
  out.key("crc32");
  out.integer(static_cast<std::int64_t>(::crc32_z(0, bytes, size)));
  out.key("values");
  if (out.encoding == Encoding::base64)
    out.base64(bytes, size);
  else
    dispatch(t.dtype(), [&](auto tag) { out.list(t.data<decltype(tag)>(), t.numel(), t.dtype() == f64 ? 4 : 8); });
  out.close_object();
}

void print_tensors(Out& out, const std::vector<std::pair<std::string, Tensor>>& tensors) {
  out.open_object();
  for (const auto& [name, t] : tensors) print_tensor(out, name, t);
  out.close_object();
}

void print_description(Printer& out, const ModuleConfig& d) {
  out.open_object();
  out.key("kind");
  out.text(d.kind);
  if (!d.options.empty()) {
    out.key("options");
    print_values(out, d.options);
  }
  if (!d.children.empty()) {
    out.key("children");
    out.open_object();
    for (const auto& [name, child] : d.children) {
      out.key(name);
      print_description(out, child);
    }
    out.close_object();
  }
  out.close_object();
}

void print_model(Out& out, const SavedModel& model) {
  out.open_object();
  out.key("description");
  print_description(out, model.description);
  out.key("states");
  out.open_object();
  for (const auto& [path, state] : model.states) {
    out.key(path);
    out.open_object();
    out.key("kind");
    out.text(state.kind);
    if (!state.frozen.empty()) {
      out.key("frozen");
      out.texts(state.frozen);
    }
    out.key("leaves");
    print_tensors(out, state.leaves);
    out.close_object();
  }
  out.close_object();
  out.close_object();
}

void print_bundle(Out& out, const StateDict& bundle);

void print_bundles(Out& out, const std::vector<std::pair<std::string, StateDict>>& bundles) {
  out.open_object();
  for (const auto& [name, b] : bundles) {
    out.key(name);
    print_bundle(out, b);
  }
  out.close_object();
}

void print_bundle(Out& out, const StateDict& bundle) {
  out.open_object();
  if (!bundle.values.empty()) {
    out.key("values");
    print_values(out, bundle.values);
  }
  if (!bundle.tensors.empty()) {
    out.key("tensors");
    print_tensors(out, bundle.tensors);
  }
  if (!bundle.parts.empty()) {
    out.key("parts");
    print_bundles(out, bundle.parts);
  }
  out.close_object();
}

void print_generator(Printer& out, const random::Key& key) {
  const std::int64_t words[] = {key[0], key[1]};
  out.open_object();
  out.key("algorithm");
  out.text(generator_name);
  out.key("key");
  out.list(words, 2, 2);
  out.close_object();
}

// Small entries come first, so that the head of the file shows what it is and how far the run was.
void print_document(Out& out, const Document& d) {
  out.open_object();
  out.key("format");
  out.text(format_name);
  out.key("version");
  out.integer(format_version);
  if (!d.progress.empty()) {
    out.key("progress");
    print_values(out, d.progress);
  }
  if (d.generator) {
    out.key("generator");
    print_generator(out, *d.generator);
  }
  if (d.model) {
    out.key("model");
    print_model(out, *d.model);
  }
  if (!d.models.empty()) {
    out.key("models");
    out.open_object();
    for (const auto& [name, model] : d.models) {
      out.key(name);
      print_model(out, model);
    }
    out.close_object();
  }
  if (d.optimizer) {
    out.key("optimizer");
    print_bundle(out, *d.optimizer);
  }
  if (!d.optimizers.empty()) {
    out.key("optimizers");
    print_bundles(out, d.optimizers);
  }
  if (!d.parts.empty()) {
    out.key("parts");
    print_bundles(out, d.parts);
  }
  out.sum("crc32");
  out.close_object();
}

}  // namespace

void write(const Document& document, const std::filesystem::path& path, const SaveOptions& options) {
  sweep_temporaries(path.parent_path(), path.filename().string() + ".");  // leftovers of killed saves
  AtomicFile file("[checkpoint] save:", path);
  Out out(file, options.encoding);
  print_document(out, document);
  file.commit();
}

}  // namespace vg::checkpoint
