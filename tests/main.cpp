#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

// Read by AddressSanitizer where the library is built with it: an allocation beyond all memory fails as it does
// without, instead of ending the process.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
