# The library once more, with AddressSanitizer and UBSan and at -O1. Tests and programs are not compiled again for it
# (voxgrad_sanitized_program): what is checked is the library, and the memory that it takes and gives, whoever uses it.
add_library(voxgrad_sanitized OBJECT EXCLUDE_FROM_ALL ${VOXGRAD_SOURCES})
voxgrad_library_settings(voxgrad_sanitized)
# Chosen for the time that g++ takes, which is half of what it would be with all checks inline: AddressSanitizer's are calls; null,
# object-size and vptr find nothing here that AddressSanitizer does not; what UBSan finds is a trap, whose line gdb shows.
# g++ 12 warns falsely of uninitialised members under the sanitizers (GCC bug 105562).
target_compile_options(voxgrad_sanitized PRIVATE -O1 -g1 -UNDEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
                       -fno-sanitize=null,object-size,vptr -fsanitize-undefined-trap-on-error
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized --param=asan-instrumentation-with-call-threshold=0>)
add_custom_target(sanitized)
