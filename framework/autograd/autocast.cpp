#include "voxgrad/framework/autograd/autocast.hpp"

namespace vg {

namespace {
thread_local Compute current = Compute::full;
}

std::string_view name_of(Compute compute) {
  return compute == Compute::bf16 ? "bf16" : compute == Compute::full ? "full" : "automatic";
}

Compute autocast() { return current; }

AutocastGuard::AutocastGuard(Compute compute) : before_(current) {
  if (compute != Compute::automatic) current = compute;
}
AutocastGuard::~AutocastGuard() { current = before_; }

}  // namespace vg
