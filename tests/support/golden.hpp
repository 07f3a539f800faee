// Reading the reference files of tests/golden: arrays are {"shape": [...], "data": [flat, row-major]}, i32 with
// "dtype": "i32".
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg::test::golden {

/// tests/golden/NAME.
std::filesystem::path path_of(const std::string& name);
/// The *.json files of a folder, sorted by name. Throws vg::IoError if the folder is missing or has none.
std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder);
/// Reads a file. Throws vg::IoError with its name if it is missing or not JSON.
nlohmann::json read(const std::filesystem::path& file);

/// The array as that dtype (one marked "i32" stays i32). Throws vg::IoError if shape and data do not fit.
vg::Tensor tensor(const nlohmann::json& array, vg::DType dtype);
/// tensor(record[key]), or an undefined Tensor if the key is missing or null.
vg::Tensor optional_tensor(const nlohmann::json& record, const std::string& key, vg::DType dtype);
/// One int, or a list of ints.
std::vector<std::int64_t> ints(const nlohmann::json& value);

/// The maximum of |got - x| / max(1, |x|) over the elements x of the second tensor; infinity if shapes differ or a NaN
/// is on one side only.
double error(const vg::Tensor& got, const vg::Tensor& want);
/// The maximum of |got - x| / scale over the elements x of the second tensor; 0 / 0 counts as 0.
double error(const vg::Tensor& got, const vg::Tensor& want, const vg::Tensor& scale);

}  // namespace vg::test::golden
