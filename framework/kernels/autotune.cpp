#include "voxgrad/framework/kernels/autotune.hpp"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

namespace vg::kernels {

namespace {

double seconds(const std::function<void()>& run) {
  run();
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string key_of(const Conv3dProblem& p, Pass pass, std::size_t element) {
  std::string key(reinterpret_cast<const char*>(&p), sizeof p);  // p has no padding: all its fields are 64-bit
  return key + kernel_set() + static_cast<char>('0' + static_cast<int>(pass)) + std::to_string(element) + "," +
         std::to_string(num_threads());
}

}  // namespace

bool is_tuning() {
  static const bool on = [] {
    const char* const value = std::getenv("VOXGRAD_TUNE");
    return value != nullptr && *value != '\0' && std::strcmp(value, "0") != 0;
  }();
  return on;
}

bool faster_is_second(const Conv3dProblem& p, Pass pass, std::size_t element, const std::function<void()>& first,
                      const std::function<void()>& second) {
  static std::mutex mutex;
  static std::map<std::string, bool> known;
  const std::string key = key_of(p, pass, element);
  {
    const std::lock_guard lock(mutex);
    if (const auto found = known.find(key); found != known.end()) return found->second;
  }
  const bool faster = seconds(second) < seconds(first);
  const std::lock_guard lock(mutex);
  return known.emplace(key, faster).first->second;  // if two threads measured, the first result stays
}

}  // namespace vg::kernels
