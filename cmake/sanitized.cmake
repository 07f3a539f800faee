# The library once more, with AddressSanitizer and UBSan and at -O1. Tests and programs are not compiled again for it
# (voxgrad_sanitized_program): what is checked is the library, and the memory that it takes and gives, whoever uses it.
# null, object-size and vptr find nothing here that AddressSanitizer does not; what UBSan finds is a trap, whose line gdb shows.
# g++ 12 warns falsely of uninitialised members under the sanitizers (GCC bug 105562).
function(voxgrad_sanitized_library name)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${ARGN})
  voxgrad_library_settings(${name})
  target_compile_options(${name} PRIVATE -O1 -g1 -UNDEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
                         -fno-sanitize=null,object-size,vptr -fsanitize-undefined-trap-on-error
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endfunction()
# AddressSanitizer's checks as calls take half the time of g++ that they take inline. The kernels, where they are made
# most, have them inline: their tests take a quarter of the time. What looks for uses of a variable after its scope takes half
# of g++'s time there; it is left to the fuzz targets, which have the scalar kernels with it.
set(kernels ${VOXGRAD_SOURCES})
list(FILTER kernels INCLUDE REGEX "framework/kernels/.*_(scalar|avx2|avx512)\\.cpp$")
set(others ${VOXGRAD_SOURCES})
list(REMOVE_ITEM others ${kernels})
voxgrad_sanitized_library(voxgrad_sanitized_kernels ${kernels})
target_compile_options(voxgrad_sanitized_kernels PRIVATE -fno-sanitize-address-use-after-scope)
voxgrad_sanitized_library(voxgrad_sanitized ${others})
target_compile_options(voxgrad_sanitized PRIVATE $<$<CXX_COMPILER_ID:GNU>:--param=asan-instrumentation-with-call-threshold=0>)
add_custom_target(sanitized)
