# The kernels are compiled once per instruction set. Only these objects have instructions that some CPUs lack. They
# define no inline function that the linker could choose for other code (tools/check_kernel_objects.sh).
set(VOXGRAD_KERNEL_SOURCES framework/kernels/dispatch/kernels.cpp framework/kernels/depthwise/kernels.cpp framework/kernels/winograd/transforms/kernels.cpp)
list(TRANSFORM VOXGRAD_KERNEL_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/)
# Winograd for the portable set takes a minute to compile. Every x86-64 CPU since 2013 has AVX2, so it is not needed
# there.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(VOXGRAD_X86_64 ON)
  option(VOXGRAD_PORTABLE_WINOGRAD "Winograd for the portable kernel set, too" OFF)
else()
  option(VOXGRAD_PORTABLE_WINOGRAD "Winograd for the portable kernel set, too" ON)
endif()
set(VOXGRAD_AVX2 -mavx2 -mfma)
set(VOXGRAD_AVX512 ${VOXGRAD_AVX2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
set(VOXGRAD_AVX512BF16 ${VOXGRAD_AVX512} -mavx512bf16)
set(VOXGRAD_AMX -mamx-tile -mamx-bf16)

# Makes an object library LIBRARY_SET of the sources and appends its name to LIBRARY_kernels. SIMD is the header of the
# vectors in framework/kernels/simd.
function(voxgrad_kernel_objects library set simd flags)
  add_library(${library}_${set} OBJECT EXCLUDE_FROM_ALL ${ARGN})
  voxgrad_library_settings(${library}_${set})
  set_target_properties(${library}_${set} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)
  target_compile_definitions(${library}_${set} PRIVATE VOXGRAD_TARGET=${set} VOXGRAD_SIMD="voxgrad/framework/kernels/simd/${simd}.hpp")
  target_compile_options(${library}_${set} PRIVATE ${flags})
  set(${library}_kernels ${${library}_kernels} ${library}_${set} PARENT_SCOPE)
endfunction()

# Makes all kernel objects of LIBRARY; their names are in LIBRARY_kernels. PORTABLE_WINOGRAD tells whether the portable
# set has Winograd.
macro(voxgrad_kernels library portable_winograd)
  if(VOXGRAD_X86_64)
    voxgrad_kernel_objects(${library} avx512 avx512 "${VOXGRAD_AVX512}" ${VOXGRAD_KERNEL_SOURCES})
    voxgrad_kernel_objects(${library} avx512_half_width avx2 "${VOXGRAD_AVX512}" ${PROJECT_SOURCE_DIR}/framework/kernels/winograd/transforms/kernels.cpp)
    target_compile_definitions(${library}_avx512_half_width PRIVATE VOXGRAD_HALF_WIDTH VOXGRAD_SIMD_REGISTERS=32)
    voxgrad_kernel_objects(${library} avx2 avx2 "${VOXGRAD_AVX2}" ${VOXGRAD_KERNEL_SOURCES})
    voxgrad_kernel_objects(${library} avx512_bf16 avx512bf16 "${VOXGRAD_AVX512BF16}" ${PROJECT_SOURCE_DIR}/framework/kernels/bf16/kernels_avx512bf16.cpp)
    voxgrad_kernel_objects(${library} amx portable "${VOXGRAD_AMX}" ${PROJECT_SOURCE_DIR}/framework/kernels/bf16/kernels_amx.cpp)
    target_compile_definitions(${library} PRIVATE VOXGRAD_HAS_AVX2 VOXGRAD_HAS_AVX512)
  endif()
  set(portable_sources ${VOXGRAD_KERNEL_SOURCES})
  if(${portable_winograd})
    target_compile_definitions(${library} PRIVATE VOXGRAD_PORTABLE_WINOGRAD)
  else()
    list(FILTER portable_sources EXCLUDE REGEX "/winograd/")
  endif()
  set(portable_flags)
  if(VOXGRAD_X86_64)  # where only tests run the portable set; g++ 12 falsely warns of its vectors at -O1
    set(portable_flags -O1 $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  endif()
  voxgrad_kernel_objects(${library} portable portable "${portable_flags}" ${portable_sources})
endmacro()
