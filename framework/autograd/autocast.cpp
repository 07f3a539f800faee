#include "voxgrad/framework/autograd/autocast.hpp"

namespace vg {

namespace {
thread_local Compute current = Compute::full;
}

std::string_view name_of(Compute compute) {
  return compute == Compute::bf16 ? "bf16" : compute == Compute::full ? "full" : "automatic";
}

Compute autocast() { return current; }

Autocast::Autocast(Compute compute) : before_(current) {
  if (compute != Compute::automatic) current = compute;
}
Autocast::~Autocast() { current = before_; }

}  // namespace vg
