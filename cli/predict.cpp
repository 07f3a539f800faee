#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "cli/commands.hpp"
#include "cli/extents.hpp"
#include "voxgrad/data/nifti.hpp"
#include "voxgrad/evaluation/sliding_window.hpp"
#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/registry/registry.hpp"

namespace command {

namespace {

/// The dtype of the model's first floating leaf; f32 for a model without one.
vg::DType dtype_of(vg::Module& model) {
  for (const auto& [path, state] : model.parameters())
    for (const std::string& leaf : state.leaves())
      if (const vg::DType dtype = state[leaf].dtype(); vg::is_float(dtype)) return dtype;
  return vg::f32;
}

/// Advice for a model that refuses a whole volume because the extents are not multiples as its strides need; otherwise
/// empty.
std::string advice(vg::Module& model, const vg::Shape& x) {
  const auto multiples = multiples_of(model.description());
  vg::Triple window{};
  bool fits = true;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t extent = x[i + 1], m = multiples[i];
    fits = fits && extent % m == 0;
    window[i] = std::max(m, extent / m * m);
  }
  if (fits) return "";
  return fmt::format(
      "\nThe volume is {} x {} x {}; this model's strides need multiples of {}, {} and {}. Use windows of such "
      "extents: --window {}",
      x[1], x[2], x[3], multiples[0], multiples[1], multiples[2], fmt::join(window, " "));
}

vg::Tensor whole_output(vg::Module& model, const vg::Tensor& x) {
  try {
    return model(x).value();
  } catch (const std::invalid_argument& e) {
    throw vg::ValueError(e.what() + advice(model, x.shape()));
  }
}

/// Runs the model on the whole volume, or on windows.
vg::Tensor output_of(vg::Module& model, const vg::Tensor& x, const PredictOptions& options) {
  const vg::NoGradGuard no_grad;
  if (options.window.empty()) return whole_output(model, x);
  return vg::sliding_window(
      model, x,
      {.window = {options.window.at(0), options.window.at(1), options.window.at(2)}, .overlap = options.overlap});
}

/// (H, W, D, K) -> (H, W, D): the index of the largest value, the first of equal ones.
vg::Tensor largest_channel(const vg::Tensor& y) {
  const std::int64_t channels = y.dim(3);
  vg::Tensor labels({y.dim(0), y.dim(1), y.dim(2)}, vg::i32);
  auto* to = labels.data<std::int32_t>();
  vg::dispatch(y.dtype(), [&](auto zero) {
    const auto* from = y.data<decltype(zero)>();
    for (std::int64_t i = 0; i < labels.numel(); ++i, from += channels)
      to[i] = static_cast<std::int32_t>(std::max_element(from, from + channels) - from);
  });
  return labels;
}

/// The smallest unsigned type that can hold the labels of `classes` classes.
vg::NiftiType type_of_labels(std::int64_t classes) {
  if (classes <= 1 << 8) return vg::NiftiType::uint8;
  return classes <= 1 << 16 ? vg::NiftiType::uint16 : vg::NiftiType::uint32;
}

}  // namespace

int predict(const fs::path& checkpoint, const fs::path& volume, const fs::path& result, const PredictOptions& options,
            std::ostream& out) {
  const std::unique_ptr<vg::Module> model = vg::load_model(checkpoint);
  const vg::Volume in = vg::read_nifti(volume, dtype_of(*model));
  const vg::Triple extent = in.extent();
  const vg::Tensor x = in.data.reshape({1, extent[0], extent[1], extent[2], in.channels()}),
                   y = output_of(*model, x, options);
  if (y.rank() != 5 || y.dim(1) != extent[0] || y.dim(2) != extent[1] || y.dim(3) != extent[2] || y.dim(4) < 1)
    throw vg::ValueError(
        fmt::format("[predict] the model returns {} for {}; must have its extents and at least one channel",
                    y.shape().str(), x.shape().str()));
  vg::Volume predicted{y.reshape({extent[0], extent[1], extent[2], y.dim(4)}), in.affine};
  std::optional<vg::NiftiType> type;
  if (options.labels) {
    type = type_of_labels(predicted.channels());
    predicted.data = largest_channel(predicted.data);
  }
  vg::write_nifti(result, predicted, type);
  out << fmt::format("{}: {} -> {}: {}\n", volume.string(), in.data.shape().str(), result.string(),
                     predicted.data.shape().str());
  return 0;
}

}  // namespace command
