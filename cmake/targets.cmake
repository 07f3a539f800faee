# What every target of the project gets: the warnings, and the sanitizers when asked for.
# g++ 12 warns falsely of overlapping copies within std::string's operator+ (GCC bug 105651) and, under the sanitizers, of
# uninitialised members within std::regex (GCC bug 105562): both warnings are off there.
function(voxgrad_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wpedantic -Wno-sign-conversion $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                         $<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${VOXGRAD_SANITIZE}>>:-Wno-maybe-uninitialized>
                         $<$<BOOL:${VOXGRAD_WERROR}>:-Werror>)
  if(VOXGRAD_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endif()
endfunction()

# A program that uses voxgrad (and CLI11, header-only, for its options). What takes its time is in the library, which is optimised;
# at -O1 its own files, most of them headers, compile in half the time.
function(voxgrad_program name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE voxgrad::voxgrad fmt::fmt nlohmann_json::nlohmann_json)
  target_compile_options(${name} PRIVATE -O1)
  voxgrad_warnings(${name})
endfunction()
