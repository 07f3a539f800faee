// Classifies the volumes of an archive in MedMNIST3D's layout: medmnist3d [ARCHIVE.npz]. Without an argument it writes
// an archive of blobs first.
#include <algorithm>
#include <cstdio>
#include <string>
#include <voxgrad/voxgrad.hpp>

// Class 0 has a blob in the first half along H, class 1 in the second.
void add_part(vg::NamedTensors& archive, const std::string& part, std::int64_t count) {
  const std::int64_t n = 12;
  vg::Tensor images = vg::random::randint(vg::random::key_of(count), {count, n, n, n}, 0, 60);
  vg::Tensor labels = vg::random::randint(vg::random::key_of(count + 1), {count, 1}, 0, 2);
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t h = 0; h < 4; ++h)
      for (std::int64_t w = 0; w < 4; ++w)
        for (std::int64_t d = 0; d < 4; ++d) {
          const std::int64_t at = h + 1 + 6 * labels.data<std::int32_t>()[i];
          images.data<std::int32_t>()[((i * n + at) * n + w + i % 8) * n + d + i / 8 % 8] += 150;
        }
  archive.emplace_back(part + "_images", images);
  archive.emplace_back(part + "_labels", labels);
}

class Archive {
 public:
  explicit Archive(const std::string& file) : arrays_(vg::read_npz(file)) {}
  // (N, H, W, D, 1) in [0, 1] and (N).
  vg::TensorDataset part(const std::string& name) const {
    const vg::Tensor images = array(name + "_images"), labels = array(name + "_labels");
    std::vector<std::int64_t> shape = images.shape().vec();
    if (shape.size() == 4) shape.push_back(1);
    return vg::TensorDataset(vg::augment::intensity(images.to(vg::f32), 1.0 / 255, 0).reshape(shape),
                             labels.reshape({-1}));
  }
  vg::Tensor array(const std::string& name) const {
    for (const auto& [there, tensor] : arrays_)
      if (there == name) return tensor;
    throw vg::ValueError("the archive has no array " + name);
  }

 private:
  vg::NamedTensors arrays_;
};

int main(int argc, char** argv) {
  std::string file = argc > 1 ? argv[1] : "blobs.npz";
  if (argc == 1) {
    vg::NamedTensors blobs;
    add_part(blobs, "train", 128);
    add_part(blobs, "test", 64);
    vg::write_npz(file, blobs);
  }
  const Archive archive(file);
  const vg::TensorDataset train = archive.part("train"), test = archive.part("test");
  const std::vector<double> labels = archive.array("train_labels").values();
  const auto classes = static_cast<std::int64_t>(*std::max_element(labels.begin(), labels.end())) + 1;

  vg::random::seed(0);
  vg::Sequential model(vg::Conv3d({.in_size = train.get(0).x.shape().vec(), .out_channels = 8, .kernel_size = 3}),
                       vg::BatchNorm3d(), vg::ReLU(), vg::MaxPool3d(2),
                       vg::Conv3d({.out_channels = 16, .kernel_size = 3}), vg::BatchNorm3d(), vg::ReLU(),
                       vg::AdaptiveAvgPool3d(3), vg::Flatten(), vg::Linear(classes));
  vg::DataLoader loader(train, {.batch_size = 16, .shuffle = true});
  vg::Adam optimizer(model.parameters(), {.lr = 3e-3});
  model.train();
  for (int epoch = 0; epoch < 4; ++epoch)
    for (const vg::Batch& batch : loader) {
      vg::cross_entropy(model(batch.x), batch.y).backward();
      optimizer.step();
      optimizer.zero_grad();
    }

  model.eval();
  const vg::NoGradGuard no_graph;
  vg::Metrics metrics({.classes = classes});
  for (const vg::Batch& batch : vg::DataLoader(test, {.batch_size = 32})) metrics.update(model(batch.x), batch.y);
  std::printf("%d classes, accuracy %.3f\n", static_cast<int>(classes), metrics.value().accuracy);
  return metrics.value().accuracy > 0.9 ? 0 : 1;
}
