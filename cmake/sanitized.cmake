# The library once more, with AddressSanitizer and UBSan and at -O1. Tests and programs are not compiled again for it
# (voxgrad_sanitized_program): what is checked is the library, and the memory that it takes and gives, whoever uses it.
# null, object-size and vptr find nothing here that AddressSanitizer does not; what UBSan finds is a trap, whose line gdb shows.
# g++ 12 warns falsely of uninitialised members under the sanitizers (GCC bug 105562).
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
voxgrad_kernels(voxgrad_sanitized ON)  # whose tests see the portable set's Winograd
# AddressSanitizer's checks as calls take half the time of g++ that they take inline. The kernels, where they are made
# most, have them inline: their tests take a quarter of the time. What looks for uses of a variable after its scope takes half
# of g++'s time there; it is left to the fuzz targets, which have the portable kernels with it.
target_compile_options(voxgrad_sanitized PRIVATE $<$<CXX_COMPILER_ID:GNU>:--param=asan-instrumentation-with-call-threshold=0>)
foreach(target IN LISTS voxgrad_sanitized_kernels)
  voxgrad_sanitizers(${target})
  target_compile_options(${target} PRIVATE -fno-sanitize-address-use-after-scope)
endforeach()
set(VOXGRAD_SANITIZED_OBJECTS voxgrad_sanitized ${voxgrad_sanitized_kernels})
list(TRANSFORM VOXGRAD_SANITIZED_OBJECTS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
add_custom_target(sanitized)
