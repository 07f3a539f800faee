// Segments the NIfTI volumes of a folder with a U-Net. The labels of NAME.nii.gz are in NAME_labels.nii.gz.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <voxgrad/voxgrad.hpp>

namespace fs = std::filesystem;

// A volume of noise with a bright ball in it, in voxels of 1.5 mm; the labels mark the ball.
void write_case(const fs::path& folder, int number, const vg::Triple& extent) {
  vg::Volume image, labels;
  image.affine = labels.affine = {1.5, 0, 0, -20, 0, 1.5, 0, -20, 0, 0, 1.5, -20, 0, 0, 0, 1};
  image.data = vg::random::normal(vg::random::key_of(number), {extent[0], extent[1], extent[2]}, 100, 10);
  labels.data = vg::Tensor::zeros(image.data.shape(), vg::i32);
  std::int64_t voxel = 0;
  for (std::int64_t h = 0; h < extent[0]; ++h)
    for (std::int64_t w = 0; w < extent[1]; ++w)
      for (std::int64_t d = 0; d < extent[2]; ++d, ++voxel)
        if (std::hypot(h - 6.0 - number % 3, w - 8.0, d - 7.0 - number % 2) < 5) {
          image.data.data<float>()[voxel] += 40;
          labels.data.data<std::int32_t>()[voxel] = 1;
        }
  const std::string name = "case" + std::to_string(number);
  vg::write_nifti(folder / (name + ".nii.gz"), image);
  vg::write_nifti(folder / (name + "_labels.nii.gz"), labels, vg::NiftiType::uint8);
}

vg::Sample read_case(const std::string& stem) {
  const vg::Tensor image = vg::read_nifti(stem + ".nii.gz").data;
  return {vg::standardize(vg::with_channel_axis(image)), vg::read_nifti_labels(stem + "_labels.nii.gz").data};
}

int main() {
  const fs::path folder = "volumes";
  fs::create_directories(folder);
  for (int i = 0; i < 6; ++i) write_case(folder, i, i == 0 ? vg::Triple{19, 18, 17} : vg::Triple{16, 16, 16});

  std::vector<std::string> stems;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().string(), end = "_labels.nii.gz";
    if (name.ends_with(end)) stems.push_back(name.substr(0, name.size() - end.size()));
  }
  std::sort(stems.begin(), stems.end());
  const std::string held_out = stems.front();  // it has another size
  stems.erase(stems.begin());

  vg::random::seed(1);
  vg::DataLoader loader(
      vg::FunctionDataset(static_cast<std::int64_t>(stems.size()),
                          [&](std::int64_t i) { return read_case(stems[static_cast<std::size_t>(i)]); }),
      {.batch_size = 2, .shuffle = true, .transform = [](const vg::Sample& s, const vg::random::Key& key) {
         return vg::augment::random_flip(key, s, {0, 1, 2});
       }});
  vg::Sequential model = vg::zoo::UNet3d(
      {.in_size = {vg::dynamic, vg::dynamic, vg::dynamic, 1}, .out_channels = 2, .features = {8, 16, 32}});
  vg::AdamW optimizer(model.parameters(), {.lr = 3e-3});
  model.train();
  for (int step = 1; step <= 40; ++step) {
    const vg::Batch batch = loader.next();
    const vg::Variable loss = vg::dice_cross_entropy(model(batch.x), batch.y);
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
    if (step % 10 == 0) std::printf("step %d loss %.3f\n", step, loss.item());
  }
  vg::save(model, "model.json");

  const vg::Sample test = read_case(held_out);
  vg::Volume labels = vg::read_nifti(held_out + ".nii.gz");
  labels.data = vg::argmax(vg::sliding_window(model, test.x, {.window = {16, 16, 16}, .overlap = 0.5}));
  vg::write_nifti("predicted.nii.gz", labels, vg::NiftiType::uint8);
  vg::Metrics metrics({.classes = 2});
  metrics.update(vg::read_nifti_labels("predicted.nii.gz").data.reshape({1, 19, 18, 17}),
                 test.y.reshape({1, 19, 18, 17}));
  std::printf("Dice of %s: %.3f\n", held_out.c_str(), metrics.value().dice.mean);
  return metrics.value().dice.mean > 0.8 ? 0 : 1;
}
