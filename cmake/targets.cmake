# Settings that the targets of the project share. g++ 12 falsely warns of overlapping copies within std::string's
# operator+ (GCC bug 105651), so that warning is off there.
function(voxgrad_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wpedantic -Wno-sign-conversion $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                         $<$<BOOL:${VOXGRAD_WERROR}>:-Werror>)
endfunction()

# These headers are parsed only once for the files of all CPUs, which saves a third of the library's compile time.
function(voxgrad_precompiled_headers target)
  target_precompile_headers(${target} PRIVATE <algorithm> <cmath> <cstdint> <functional> <map> <memory> <string> <vector> <fmt/format.h>)
endfunction()

# Compiles the sources of a folder together, ten at a time (CMake's unity build): g++ parses their headers once, so the
# library takes half the time. A folder's files must not define two things of one name, even in anonymous namespaces.
# Files of microkernels, which are compiled for an instruction set, stay on their own.
option(VOXGRAD_UNITY "Compile the sources of a folder together" ON)
function(voxgrad_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${VOXGRAD_UNITY} UNITY_BUILD_MODE GROUP)
  if(VOXGRAD_UNITY)  # g++ warns of lambdas that capture types of anonymous namespaces unless these are in the main file
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
  foreach(source IN LISTS ARGN)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE group)
    cmake_path(REMOVE_FILENAME group)
    string(MAKE_C_IDENTIFIER "${group}" group)
    # These have no loops over values: at -O1 they take up to 30 % less time to compile, and a training step, a load and a
    # save take as long.
    if(group MATCHES "^(layers|framework_nn|framework_transforms|framework_checkpoint)_" AND NOT source MATCHES "/(numbers|payload)\\.cpp$")
      string(APPEND group "calls_")
    endif()
    math(EXPR count_${group} "0${count_${group}} + 1")
    math(EXPR part "${count_${group}} / 10")
    if(NOT source MATCHES "/kernels_[a-z0-9]+\\.cpp$")
      set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group}${part})
    endif()
    if(group MATCHES "calls_$")
      set(unity ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.dir/Unity/unity_${group}${part}_cxx.cxx)
      set_source_files_properties(${unity} PROPERTIES COMPILE_OPTIONS -O1)
    endif()
  endforeach()
endfunction()

# Settings of every build of the library.
function(voxgrad_library_settings target)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC xtensor PRIVATE voxgrad_dependencies)
  voxgrad_warnings(${target})
  # The library reads neither errno nor the floating-point flags. Without them g++ vectorises sqrt (an AdamW step: 2.8
  # -> 0.74 ns per element) and the selects of exp, tanh and silu (3x). No value changes: this is not -ffast-math.
  target_compile_options(${target} PRIVATE -fno-math-errno -fno-trapping-math)
  voxgrad_precompiled_headers(${target})
endfunction()

# Adds CLI11, a header-only library for options of programs.
function(voxgrad_cli11 target)
  find_path(CLI11_INCLUDE CLI/CLI.hpp REQUIRED)  # libcli11-dev
  target_include_directories(${target} SYSTEM PRIVATE ${CLI11_INCLUDE})
endfunction()

# Adds a program that uses voxgrad. Its run time is spent in the library, which is optimised, so its own files are
# compiled at -O1. Most of their code is in headers, and this halves their compile time.
function(voxgrad_program name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE voxgrad::voxgrad fmt::fmt nlohmann_json::nlohmann_json)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE -O1)
  voxgrad_warnings(${name})
endfunction()

# Adds NAME_sanitized to the target `sanitized`: NAME's objects linked with the sanitized library. Its objects come
# first, because the linker takes the first of several definitions of an inline function. Does nothing without the
# option VOXGRAD_SANITIZED.
function(voxgrad_sanitized_program name)
  if(TARGET voxgrad_sanitized)
    add_executable(${name}_sanitized EXCLUDE_FROM_ALL ${VOXGRAD_SANITIZED_OBJECTS} $<TARGET_OBJECTS:${name}>)
    set_target_properties(${name}_sanitized PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(${name}_sanitized PRIVATE voxgrad_dependencies)
    target_link_options(${name}_sanitized PRIVATE -fsanitize=address,undefined ${ARGN})
    add_dependencies(sanitized ${name}_sanitized)
  endif()
endfunction()

# Adds the test NAME again for PROGRAM's sanitized build. The test preset `dev` selects tests by the word "sanitized".
function(voxgrad_sanitized_test name program)
  if(TARGET ${program}_sanitized)
    add_test(NAME "sanitized: ${name}" COMMAND ${program}_sanitized ${ARGN})
  endif()
endfunction()
