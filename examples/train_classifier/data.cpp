#include "train_classifier/data.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "run.hpp"

namespace {

constexpr std::int64_t most_classes = 1000;

// The arrays of one archive; each is checked when it is read.
class Archive {
 public:
  explicit Archive(const std::filesystem::path& file) : file_(file), arrays_(vg::read_npz(file)) {}

  /// (N, H, W, D, C) i32 with values in [0, 255].
  vg::Tensor images(const std::string& part) const {
    const std::string name = part + "_images";
    const vg::Tensor& t = array(name);
    if (t.dtype() != vg::i32) fail(name, fmt::format("its elements are {}; must be uint8", vg::name_of(t.dtype())));
    if (t.rank() != 4 && t.rank() != 5)
      fail(name, fmt::format("its shape is {}; must be (N, H, W, D) or (N, H, W, D, C)", t.shape().str()));
    if (t.numel() == 0) fail(name, fmt::format("its shape is {}; no extent may be 0", t.shape().str()));
    const auto [low, high] = std::minmax_element(t.data<std::int32_t>(), t.data<std::int32_t>() + t.numel());
    if (*low < 0 || *high > 255)
      fail(name, fmt::format("it has values from {} to {}; must be in [0, 255], as uint8 is", *low, *high));
    const vg::Shape& s = t.shape();
    return t.rank() == 5 ? t : t.reshape({s[0], s[1], s[2], s[3], 1});
  }

  /// (N) i32, one label per image; N must be `count`.
  vg::Tensor labels(const std::string& part, std::int64_t count) const {
    const std::string name = part + "_labels";
    const vg::Tensor& t = array(name);
    if (t.dtype() != vg::i32)
      fail(name, fmt::format("its elements are {}; must be whole numbers", vg::name_of(t.dtype())));
    const bool fits = (t.rank() == 1 || (t.rank() == 2 && t.dim(1) == 1)) && t.dim(0) == count;
    if (!fits)
      fail(name, fmt::format("its shape is {}; must be ({}, 1) or ({}), a label for each of {}_images", t.shape().str(),
                             count, count, part));
    for (std::int64_t i = 0; i < count; ++i)
      if (const std::int32_t label = t.data<std::int32_t>()[i]; label < 0 || label >= most_classes)
        fail(name, fmt::format("label {} is {}; must be in [0, {})", i, label, most_classes));
    return t.reshape({count});
  }

  [[noreturn]] void fail(const std::string& name, const std::string& why) const {
    throw vg::IoError(fmt::format("[train_classifier] --data: {}: array {}: {}", file_.string(), name, why));
  }

 private:
  const vg::Tensor& array(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& [there, tensor] : arrays_) {
      if (there == name) return tensor;
      names.push_back(there);
    }
    fail(name, fmt::format("it is not there; the file has {}",
                           names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
  }

  std::filesystem::path file_;
  vg::NamedTensors arrays_;
};

// Samples are scaled when they are read, so the volumes are stored only once.
std::shared_ptr<const vg::Dataset> scaled(const vg::Tensor& images, const vg::Tensor& labels) {
  const vg::TensorDataset rows(images, labels);
  return std::make_shared<vg::FunctionDataset>(rows.size(), [rows](std::int64_t i) {
    const vg::Sample s = rows.get(i);
    return vg::Sample{vg::augment::intensity(s.x.to(vg::f32), 1.0 / 255, 0), s.y};
  });
}

vg::Size sample_size(const vg::Tensor& images) { return {images.shape().begin() + 1, images.shape().end()}; }

}  // namespace

Data voxelised_solids(std::int64_t size, std::uint64_t seed) {
  const auto solids = [&](std::int64_t count, std::uint64_t part) {
    return std::make_shared<vg::ShapesDataset>(
        vg::ShapesOptions{.count = count, .size = size, .seed = 3 * seed + part});
  };
  Data data{solids(4096, 0), solids(128, 1), solids(512, 2), {}, {size, size, size, 1}};
  const vg::Sample first = data.train->get(0);
  data.sum = checksum({first.x, first.y});
  for (std::int64_t kind = 0; kind < vg::shape_kinds; ++kind) data.classes.emplace_back(vg::shape_name(kind));
  return data;
}

Data read_medmnist(const std::filesystem::path& file) {
  const Archive archive(file);
  Data data;
  std::int32_t largest = 0;
  const auto take = [&](const std::string& part) {
    const vg::Tensor images = archive.images(part), labels = archive.labels(part, images.dim(0));
    if (data.in_size.empty()) {
      data.in_size = sample_size(images);
      data.sum = checksum({images, labels});
    }
    if (sample_size(images) != data.in_size)
      archive.fail(part + "_images", fmt::format("its volumes are {}; must be {}, as those of train_images are",
                                                 vg::Shape(sample_size(images)).str(), vg::Shape(data.in_size).str()));
    const std::int32_t* first = labels.data<std::int32_t>();
    largest = std::max(largest, *std::max_element(first, first + labels.numel()));
    return scaled(images, labels);
  };
  data.train = take("train"), data.validation = take("val"), data.test = take("test");
  if (largest == 0)
    archive.fail("train_labels", "every label is 0, here and in the other parts; there must be two classes or more");
  for (std::int32_t c = 0; c <= largest; ++c) data.classes.push_back(fmt::format("class {}", c));
  return data;
}
