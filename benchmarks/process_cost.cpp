#include "process_cost.hpp"

#include <fstream>
#include <string>
#include <system_error>

#include "voxgrad/framework/base/error.hpp"

namespace bench {

namespace fs = std::filesystem;

namespace {

std::optional<std::int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  if (std::int64_t value = 0; file >> value) return value;
  return std::nullopt;
}

// "intel-rapl:0" is a package; "intel-rapl:0:1" is a part of it, which the package's counter includes.
bool is_package(const std::string& name) {
  return name.starts_with("intel-rapl:") && name.find(':') == name.rfind(':');
}

}  // namespace

std::int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (std::int64_t kib = 0; word == "VmHWM:" && status >> kib) return kib * 1024;
  throw vg::IoError("/proc/self/status: has no VmHWM");
}

EnergyMeter::EnergyMeter(const fs::path& folder) {
  std::error_code ignored;  // a missing folder has no counters
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (!is_package(entry.path().filename().string())) continue;
    const fs::path file = entry.path() / "energy_uj";
    const auto begin = number_in(file), range = number_in(entry.path() / "max_energy_range_uj");
    if (begin && range) counters_.push_back({file, *begin, *range});
  }
}

std::optional<double> EnergyMeter::joules() const {
  if (counters_.empty()) return std::nullopt;
  double sum = 0;
  for (const Counter& c : counters_) {
    const auto now = number_in(c.file);
    if (!now) return std::nullopt;
    sum += static_cast<double>(*now - c.begin + (*now < c.begin ? c.range : 0)) * 1e-6;
  }
  return sum;
}

}  // namespace bench
