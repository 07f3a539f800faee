// The most multiply-adds that a core does: loops of independent FMAs that touch no memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

struct FmaLoop {
  std::string set, dtype;
  double flops;                   ///< of one round
  double (*run)(std::int64_t n);  ///< n rounds
};

/// Those of the vector instruction sets that voxgrad's kernels may use on this CPU, and bf16 products where it has
/// them.
std::vector<FmaLoop> fma_loops();

}  // namespace bench
