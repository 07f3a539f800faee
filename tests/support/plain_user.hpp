// For tests of permissions. Containers and build machines run tests as root, who may read and write everything.
#pragma once

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

namespace vg::test {

/// While it exists, permissions apply to this thread as to any owner of the files: root's capabilities to bypass them
/// are dropped. If there are none, nothing changes.
class PlainUser {
 public:
  PlainUser() {
    call(SYS_capget, before_);
    Sets sets = before_;
    sets[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
    call(SYS_capset, sets);
  }
  ~PlainUser() {
    __user_cap_header_struct header = of_this_thread;
    ::syscall(SYS_capset, &header, before_.data());
  }
  PlainUser(const PlainUser&) = delete;
  PlainUser& operator=(const PlainUser&) = delete;

 private:
  using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;
  static constexpr __user_cap_header_struct of_this_thread{_LINUX_CAPABILITY_VERSION_3, 0};

  static void call(long number, Sets& sets) {
    __user_cap_header_struct header = of_this_thread;
    if (::syscall(number, &header, sets.data()) != 0) throw std::runtime_error("capabilities cannot be changed");
  }

  Sets before_{};
};

}  // namespace vg::test
