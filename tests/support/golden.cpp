#include "support/golden.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/data_file.hpp"
#include "voxgrad/framework/base/error.hpp"

namespace vg::test::golden {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path path_of(const std::string& name) { return vg::test::source_folder() / "tests" / "golden" / name; }

std::vector<fs::path> files_in(const fs::path& folder) {
  std::error_code failed;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".json") files.push_back(it->path());
  if (failed) throw vg::IoError("[golden] " + folder.string() + ": " + failed.message());
  if (files.empty()) throw vg::IoError("[golden] " + folder.string() + ": there is no *.json file");
  std::sort(files.begin(), files.end());
  return files;
}

json read(const fs::path& file) {
  std::ifstream in(file);
  if (!in) throw vg::IoError("[golden] " + file.string() + ": cannot be opened");
  try {
    return json::parse(in);
  } catch (const json::exception& e) {
    throw vg::IoError("[golden] " + file.string() + ": " + e.what());
  }
}

vg::Tensor tensor(const json& array, vg::DType dtype) {
  try {
    const vg::Shape shape(array.at("shape").get<std::vector<std::int64_t>>());
    if (array.value("dtype", "") == "i32")
      return vg::Tensor::of(shape, array.at("data").get<std::vector<std::int32_t>>());
    return vg::Tensor::of(shape, array.at("data").get<std::vector<double>>()).to(dtype);
  } catch (const std::exception& e) {
    throw vg::IoError(std::string("[golden] array: ") + e.what());
  }
}

vg::Tensor optional_tensor(const json& record, const std::string& key, vg::DType dtype) {
  const auto it = record.find(key);
  return it == record.end() || it->is_null() ? vg::Tensor() : tensor(*it, dtype);
}

std::vector<std::int64_t> ints(const json& value) {
  if (value.is_number_integer()) return {value.get<std::int64_t>()};
  return value.get<std::vector<std::int64_t>>();
}

namespace {

template <class Scale>
double worst(const vg::Tensor& got, const vg::Tensor& want, Scale scale) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!got.defined() || !want.defined() || got.shape() != want.shape()) return infinity;
  double most = 0;
  for (std::int64_t i = 0; i < got.numel(); ++i) {
    const double a = got.value_at(i), b = want.value_at(i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double e = std::abs(a - b) / scale(i, b);
    if (!(e <= most)) most = std::isnan(e) ? infinity : e;
  }
  return most;
}

}  // namespace

double error(const vg::Tensor& got, const vg::Tensor& want) {
  return worst(got, want, [](std::int64_t, double b) { return std::max(1.0, std::abs(b)); });
}

double error(const vg::Tensor& got, const vg::Tensor& want, const vg::Tensor& scale) {
  return worst(got, want, [&](std::int64_t i, double) { return scale.value_at(i); });
}

}  // namespace vg::test::golden
