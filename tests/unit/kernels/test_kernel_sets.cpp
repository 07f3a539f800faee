// Which kernel set is in force.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "tests/support/run_self.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

using namespace vg::test;

TEST_CASE("kernel sets: a forced set is used", "[kernels]") {
  const auto compiled = vg::compiled_kernel_sets(), available = vg::available_kernel_sets();
  REQUIRE(compiled.back() == "portable");
  REQUIRE(available.back() == "portable");
  for (const std::string& name : available) {
    CHECK(std::count(compiled.begin(), compiled.end(), name) == 1);
    const std::string before = vg::kernel_set();
    {
      const vg::KernelSetGuard scope(name);
      CHECK(vg::kernel_set() == name);
      const auto* tables = name == "avx512" ? vg::kernels::avx512_kernels
                           : name == "avx2" ? vg::kernels::avx2_kernels
                                            : vg::kernels::portable_kernels;
      CHECK(&vg::kernels::current_kernels() == tables);
    }
    CHECK(vg::kernel_set() == before);
  }
  const std::string before = vg::kernel_set();
  {
    const vg::KernelSetGuard none("");  // ends the forced choice
    CHECK(vg::kernel_set() == available.front());
  }
  CHECK_THROWS_AS(vg::use_kernel_set("sse9"), vg::ValueError);
  CHECK_THROWS_WITH(vg::use_kernel_set("sse9"), Catch::Contains("sse9") && Catch::Contains("portable"));
  CHECK(vg::kernel_set() == before);
}

// The next test runs this in a new process, because the environment is read at the first use.
TEST_CASE("kernel sets: print the current set", "[.kernel-set-of-environment]") {
  try {
    std::printf("<%s>\n", vg::kernel_set().c_str());
  } catch (const vg::ValueError& e) {
    std::printf("<ValueError: %s>\n", e.what());
  }
}

TEST_CASE("kernel sets: VOXGRAD_KERNELS", "[kernels]") {
  const auto set_with = [](const std::string& value) {
    return run_self("VOXGRAD_KERNELS='" + value + "'", "[.kernel-set-of-environment]");
  };
  for (const std::string& name : vg::available_kernel_sets())
    CHECK_THAT(set_with(name), Catch::Contains("<" + name + ">"));
  CHECK_THAT(set_with(""), Catch::Contains("<" + vg::available_kernel_sets().front() + ">"));
  CHECK_THAT(set_with("sse9"),
             Catch::Contains("<ValueError: ") && Catch::Contains("sse9") && Catch::Contains("portable"));
}
