# The library, compiled once more with AddressSanitizer and UBSan at -O1. Tests and programs are not compiled again for
# it (voxgrad_sanitized_program), because only the library, and the memory that it takes and returns, is checked. null,
# object-size and vptr find nothing here that AddressSanitizer does not. UBSan's findings are traps; gdb shows the line.
# Under the sanitizers, g++ 12 falsely warns of uninitialised members (GCC bug 105562).
function(voxgrad_sanitizers name)
  target_compile_options(${name} PRIVATE -O1 -g1 -UNDEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
                         -fno-sanitize=null,object-size,vptr -fsanitize-undefined-trap-on-error
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endfunction()
function(voxgrad_sanitized_library name)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${ARGN})
  voxgrad_library_settings(${name})
  voxgrad_sanitizers(${name})
endfunction()
voxgrad_sanitized_library(voxgrad_sanitized ${VOXGRAD_SOURCES})
voxgrad_unity(voxgrad_sanitized ${VOXGRAD_SOURCES})
voxgrad_kernels(voxgrad_sanitized ON)  # because its tests use the portable set's Winograd
# With AddressSanitizer's checks as calls instead of inline code, g++ takes half the time. The kernels run most of the
# checks, so they have them inline: their tests take a quarter of the time. There the search for uses of a variable
# after its scope takes half of g++'s time, so it is left to the fuzz targets, whose portable kernels have it. One region
# for register allocation takes a sixth less time than one per loop.
target_compile_options(voxgrad_sanitized PRIVATE $<$<CXX_COMPILER_ID:GNU>:--param=asan-instrumentation-with-call-threshold=0>)
foreach(target IN LISTS voxgrad_sanitized_kernels)
  voxgrad_sanitizers(${target})
  target_compile_options(${target} PRIVATE -fno-sanitize-address-use-after-scope $<$<CXX_COMPILER_ID:GNU>:-fira-region=one>)
endforeach()
set(VOXGRAD_SANITIZED_OBJECTS voxgrad_sanitized ${voxgrad_sanitized_kernels})
list(TRANSFORM VOXGRAD_SANITIZED_OBJECTS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
add_custom_target(sanitized)
