// Loops of independent FMAs that access no memory: the peak rate of multiply-adds of a core.
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

/// The loops for the vector instruction sets that voxgrad's kernels may use on this CPU, and for bf16 products if it
/// has them.
std::vector<FmaLoop> fma_loops();

}  // namespace bench
