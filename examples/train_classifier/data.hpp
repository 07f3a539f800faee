// The data to classify: voxelised solids, or the volumes of a MedMNIST3D archive.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

struct Data {
  std::shared_ptr<const vg::Dataset> train, validation, test;  // x is (H, W, D, C) f32, y a class, i32 of rank 0
  std::vector<std::string> classes;
  vg::Size in_size;      // (H, W, D, C)
  std::int64_t sum = 0;  // checksum of an archive's training part, or of the first of the solids
};

/// Three vg::ShapesDatasets of 4096, 128 and 512 solids that share none.
Data voxelised_solids(std::int64_t size, std::uint64_t seed);

/// Reads an archive in the format of MedMNIST v2 (Yang et al. 2023, Scientific Data 10:41). {train,val,test}_images are
/// (N, H, W, D) or (N, H, W, D, C), uint8, and are scaled to [0, 1]; {train,val,test}_labels are (N, 1) or (N),
/// integers from 0 on. The number of classes is the largest label + 1. Throws IoError with the file, the array, the
/// value and the allowed values.
Data read_medmnist(const std::filesystem::path& file);
