#include "voxgrad/framework/base/op_count.hpp"

namespace vg {

namespace {
thread_local std::int64_t count = 0;
}

void count_multiply_adds(std::int64_t n) { count += n; }
std::int64_t multiply_adds_counted() { return count; }

}  // namespace vg
