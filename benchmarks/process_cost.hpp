// What a process has cost so far: its peak memory, and the energy of the CPUs while it ran.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace bench {

/// The highest resident size of the process so far, in bytes (Linux: VmHWM). Throws vg::IoError where the kernel does
/// not say.
std::int64_t peak_resident_bytes();

/// Energy of the CPU packages since its construction, all programs on them together: the sum of the kernel's counters
/// FOLDER/intel-rapl:N/energy_uj (AMD's CPUs have them too). Usually only root may read them, and virtual machines have
/// none.
class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& folder = "/sys/class/powercap");
  /// None where no counter can be read.
  std::optional<double> joules() const;

 private:
  struct Counter {
    std::filesystem::path file;
    std::int64_t begin, range;  // in microjoules; after `range` it begins anew at 0
  };
  std::vector<Counter> counters_;
};

}  // namespace bench
