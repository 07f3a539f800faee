// The cost of a process so far: its peak memory, and the energy that the CPUs used while it ran.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace bench {

/// The highest resident size of the process so far, in bytes (Linux: VmHWM). Throws vg::IoError if the kernel does not
/// report it.
std::int64_t peak_resident_bytes();

/// Energy of the CPU packages since the meter was constructed, for all programs on them: the sum of the kernel's
/// counters FOLDER/intel-rapl:N/energy_uj (CPUs of AMD have them, too). Usually only root may read them, and virtual
/// machines have none.
class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& folder = "/sys/class/powercap");
  /// Empty if no counter can be read.
  std::optional<double> joules() const;

 private:
  struct Counter {
    std::filesystem::path file;
    std::int64_t begin, range;  // in microjoules; after `range` the counter restarts at 0
  };
  std::vector<Counter> counters_;
};

}  // namespace bench
