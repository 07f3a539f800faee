# The kernels, compiled once per instruction set. Only these objects hold instructions that not every CPU has; they define no inline
# function that the linker could pick for other code (tools/check_kernel_objects.sh).
set(VOXGRAD_KERNEL_SOURCES framework/kernels/dispatch/kernels.cpp framework/kernels/depthwise/kernels.cpp framework/kernels/winograd/transforms/kernels.cpp)
list(TRANSFORM VOXGRAD_KERNEL_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/)
set(VOXGRAD_AVX2 -mavx2 -mfma)
set(VOXGRAD_AVX512 ${VOXGRAD_AVX2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
set(VOXGRAD_AVX512BF16 ${VOXGRAD_AVX512} -mavx512bf16)
set(VOXGRAD_AMX -mamx-tile -mamx-bf16)

# An object library LIBRARY_SET of the sources, and what LIBRARY has to know of it. SIMD: the header of the vectors in framework/kernels/simd.
function(voxgrad_kernel_objects library set simd flags)
  add_library(${library}_${set} OBJECT EXCLUDE_FROM_ALL ${ARGN})
  voxgrad_library_settings(${library}_${set})
  set_target_properties(${library}_${set} PROPERTIES DISABLE_PRECOMPILE_HEADERS ON)
  target_compile_definitions(${library}_${set} PRIVATE VOXGRAD_TARGET=${set} VOXGRAD_SIMD="voxgrad/framework/kernels/simd/${simd}.hpp")
  target_compile_options(${library}_${set} PRIVATE ${flags})
  set(VOXGRAD_KERNEL_TARGETS ${VOXGRAD_KERNEL_TARGETS} ${library}_${set} PARENT_SCOPE)
endfunction()

# All of them for LIBRARY; their names in VOXGRAD_KERNEL_TARGETS, of those of wide instructions in VOXGRAD_WIDE_KERNEL_TARGETS.
macro(voxgrad_kernels library)
  set(VOXGRAD_KERNEL_TARGETS "")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    voxgrad_kernel_objects(${library} avx512 avx512 "${VOXGRAD_AVX512}" ${VOXGRAD_KERNEL_SOURCES})
    voxgrad_kernel_objects(${library} avx512_half_width avx2 "${VOXGRAD_AVX512}" ${PROJECT_SOURCE_DIR}/framework/kernels/winograd/transforms/kernels.cpp)
    target_compile_definitions(${library}_avx512_half_width PRIVATE VOXGRAD_HALF_WIDTH VOXGRAD_SIMD_REGISTERS=32)
    voxgrad_kernel_objects(${library} avx2 avx2 "${VOXGRAD_AVX2}" ${VOXGRAD_KERNEL_SOURCES})
    voxgrad_kernel_objects(${library} avx512_bf16 avx512bf16 "${VOXGRAD_AVX512BF16}" ${PROJECT_SOURCE_DIR}/framework/kernels/bf16/kernels_avx512bf16.cpp)
    voxgrad_kernel_objects(${library} amx portable "${VOXGRAD_AMX}" ${PROJECT_SOURCE_DIR}/framework/kernels/bf16/kernels_amx.cpp)
    set(VOXGRAD_WIDE_KERNEL_TARGETS ${VOXGRAD_KERNEL_TARGETS})
    target_compile_definitions(${library} PRIVATE VOXGRAD_HAS_AVX2 VOXGRAD_HAS_AVX512)
  endif()
  voxgrad_kernel_objects(${library} scalar portable "" ${VOXGRAD_KERNEL_SOURCES})
endmacro()
