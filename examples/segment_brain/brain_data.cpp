#include "segment_brain/brain_data.hpp"

#include <cmath>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace {

struct Group {
  const char* name;
  const char* regions;  // first words of the region names in the atlas
};
const Group groups[] = {
    {"frontal", "Precentral Frontal Rolandic Supp Olfactory Rectus Paracentral"},
    {"parietal", "Postcentral Parietal SupraMarginal Angular Precuneus"},
    {"temporal", "Temporal Heschl Fusiform"},
    {"occipital", "Calcarine Cuneus Lingual Occipital"},
    {"limbic and insula", "Insula Cingulum Hippocampus ParaHippocampal Amygdala"},
    {"deep grey nuclei", "Caudate Putamen Pallidum Thalamus"},
    {"cerebellum", "Cerebelum Vermis"},
};

std::int32_t group_of(const std::string& region, const std::string& where) {
  const std::string word = region.substr(0, region.find('_'));
  for (std::size_t g = 0; g < std::size(groups); ++g) {
    std::istringstream words(groups[g].regions);
    for (std::string w; words >> w;)
      if (w == word) return static_cast<std::int32_t>(g + 1);
  }
  throw vg::IoError(
      fmt::format("[segment_brain] {}: region \"{}\" belongs to none of the seven groups", where, region));
}

// Atlas value -> class, from lines like "1 Precentral_L 2001".
std::vector<std::int32_t> read_groups(const std::filesystem::path& path) {
  std::vector<std::int32_t> of(1, 0);
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::size_t value = 0;
    std::string region;
    if (!(fields >> value >> region)) continue;
    if (value > 10000)
      throw vg::IoError(fmt::format("[segment_brain] {}: region number {} is over 10000", path.string(), value));
    if (of.size() <= value) of.resize(value + 1, 0);
    of[value] = group_of(region, path.string());
  }
  if (of.size() == 1) throw vg::IoError(fmt::format("[segment_brain] {}: names no region", path.string()));
  return of;
}

std::filesystem::path found(const std::filesystem::path& folder, const char* name) {
  std::filesystem::path path = folder / name;
  if (!std::filesystem::exists(path))
    throw vg::IoError(
        fmt::format("[segment_brain] {}: there is no such file; it comes with the Debian package mricron-data (apt-get "
                    "install mricron-data), "
                    "or say where it is with --data",
                    path.string()));
  return path;
}

std::int64_t whole_factor(double spacing, double voxel) {
  const double factor = spacing / voxel;
  if (!(factor >= 1 && factor <= 12) || std::abs(factor - std::round(factor)) > 1e-6)
    throw vg::ValueError(
        fmt::format("[segment_brain] spacing: got {} mm; must be a multiple of the file's {} mm, from {} to {}",
                    spacing, voxel, voxel, 12 * voxel));
  return std::lround(factor);
}

// The half [begin, begin + extent) of the first axis, mirrored if necessary so that the midline is at the high end,
// and padded for the network.
vg::Tensor half_of(const vg::Volume& head, std::int64_t begin, std::int64_t extent, bool mirrored) {
  const vg::Triple size = head.extent();
  vg::Volume half = vg::crop(head, {begin, 0, 0}, {extent, size[1], size[2]});
  if (mirrored) half = vg::flip(half, 0);
  return vg::pad_to_multiple(half, {8, 8, 8}).data;
}

}  // namespace

BrainData load_brain(const std::filesystem::path& folder, double spacing) {
  const auto image_path = found(folder, "ch2.nii.gz"), atlas_path = found(folder, "aal.nii.gz"),
             names_path = found(folder, "aal.nii.txt");
  vg::Volume image = vg::read_nifti(image_path), atlas = vg::read_nifti_labels(atlas_path);
  if (image.data.shape() != atlas.data.shape())
    throw vg::IoError(fmt::format("[segment_brain] {}: its shape is {}, the head's {}", atlas_path.string(),
                                  atlas.data.shape().str(), image.data.shape().str()));
  const std::int64_t factor = whole_factor(spacing, image.spacing()[0]);
  atlas.data = vg::map_labels(atlas.data, read_groups(names_path));

  BrainData data;
  data.classes.push_back("background");
  for (const Group& g : groups) data.classes.emplace_back(g.name);
  const vg::Triple size = image.extent(),
                   even{size[0] / (2 * factor) * (2 * factor), size[1], size[2]};  // two halves of whole blocks
  data.image = vg::block_mean(vg::crop(image, {0, 0, 0}, even), {factor, factor, factor});
  data.labels = vg::block_center(vg::crop(atlas, {0, 0, 0}, even), {factor, factor, factor});

  const vg::Volume normal{vg::with_channel_axis(vg::standardize(data.image.data)), data.image.affine};
  const std::int64_t middle = data.image.extent()[0] / 2;
  data.held_out = {half_of(normal, 0, middle, false), half_of(data.labels, 0, middle, false)};
  data.train = {half_of(normal, middle, middle, true), half_of(data.labels, middle, middle, true)};
  return data;
}

vg::Volume BrainData::assemble(const vg::Tensor& train_labels, const vg::Tensor& held_out_labels) const {
  const vg::Triple size = labels.extent(), half{size[0] / 2, size[1], size[2]};
  const auto unpadded = [&](const vg::Tensor& t) {
    return vg::crop({t.reshape(train.labels.shape()), labels.affine}, {0, 0, 0}, half);
  };
  vg::NoGradGuard no_grad;
  return {vg::concat({unpadded(held_out_labels).data, vg::flip(unpadded(train_labels), 0).data}, 0).value(),
          labels.affine};
}
