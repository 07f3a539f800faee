#include "voxgrad/layers/registry/by_name.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/activation.hpp"
#include "voxgrad/layers/norm.hpp"
#include "voxgrad/layers/prelu.hpp"

namespace vg {

std::shared_ptr<Module> norm_by_name(std::string_view where, const std::string& name, std::int64_t num_groups) {
  if (name == "batch") return std::make_shared<BatchNorm3d>(BatchNorm3dOptions{.momentum = 0.9});
  if (name == "group") return std::make_shared<GroupNorm>(GroupNormOptions{.num_groups = num_groups, .epsilon = 1e-5});
  if (name == "instance") return std::make_shared<InstanceNorm3d>(InstanceNorm3dOptions{.affine = true});
  throw ValueError(fmt::format("[{}] norm: got \"{}\"; must be \"batch\", \"group\" or \"instance\"", where, name));
}

std::shared_ptr<Module> activation_by_name(std::string_view where, const std::string& name) {
  if (name == "relu") return std::make_shared<ReLU>();
  if (name == "leaky_relu") return std::make_shared<LeakyReLU>();
  if (name == "elu") return std::make_shared<ELU>();
  if (name == "gelu") return std::make_shared<GELU>();
  if (name == "silu") return std::make_shared<SiLU>();
  throw ValueError(fmt::format(
      "[{}] activation: got \"{}\"; must be \"relu\", \"leaky_relu\", \"elu\", \"gelu\" or \"silu\"", where, name));
}

}  // namespace vg
