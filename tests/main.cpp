#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

// AddressSanitizer reads these options: an allocation that is too large fails as it does without the sanitizer,
// instead of ending the process.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
