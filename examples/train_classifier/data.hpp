// What is classified: voxelised solids, or the volumes of a MedMNIST3D archive.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

struct Data {
  std::shared_ptr<const vg::Dataset> train, validation, test;  // x (H, W, D, C) f32, y a class, rank 0 i32
  std::vector<std::string> classes;
  vg::Size in_size;      // (H, W, D, C)
  std::int64_t sum = 0;  // checksum of an archive's training part, or of the first of the solids
};

/// vg::ShapesDataset, three that share no solid: 4096, 128 and 512 of them.
Data voxelised_solids(std::int64_t size, std::uint64_t seed);

/// An archive as MedMNIST v2 gives them (Yang et al. 2023, Scientific Data 10:41): {train,val,test}_images (N, H, W, D)
/// or (N, H, W, D, C), uint8, scaled to [0, 1]; {train,val,test}_labels (N, 1) or (N), whole numbers from 0 on. There
/// are as many classes as the largest label says. Throws IoError naming file, array, what came and what is allowed.
Data read_medmnist(const std::filesystem::path& file);
