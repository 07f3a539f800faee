# All are Debian packages (ARCHITECTURE.md gives the reason for each). quickstart and test install the missing ones.
find_package(xtensor REQUIRED)        # libxtensor-dev
find_package(fmt REQUIRED)            # libfmt-dev
find_package(nlohmann_json REQUIRED)  # nlohmann-json3-dev
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(ZLIB REQUIRED)           # zlib1g-dev
find_path(XTENSOR_BLAS_INCLUDE xtensor-blas/xlinalg.hpp REQUIRED)      # libxtensor-blas-dev
find_path(RANDOM123_INCLUDE Random123/threefry.h REQUIRED)             # librandom123-dev
# OpenBLAS is loaded at run time (framework/base/blas.cpp).
find_library(OPENBLAS_LIBRARY openblas REQUIRED)                       # libopenblas-openmp-dev
# Debian's NIFTIConfig.cmake names a static library that the package lacks, so the library is found by name.
find_path(NIFTI_INCLUDE nifti2_io.h PATH_SUFFIXES nifti REQUIRED)      # libnifti2-dev
find_library(NIFTI2_LIBRARY nifti2 REQUIRED)

add_library(voxgrad_dependencies INTERFACE)
target_include_directories(voxgrad_dependencies SYSTEM INTERFACE $<BUILD_INTERFACE:${XTENSOR_BLAS_INCLUDE}> $<BUILD_INTERFACE:${RANDOM123_INCLUDE}> $<BUILD_INTERFACE:${NIFTI_INCLUDE}>)
target_link_libraries(voxgrad_dependencies INTERFACE fmt::fmt OpenMP::OpenMP_CXX ZLIB::ZLIB ${CMAKE_DL_LIBS} ${NIFTI2_LIBRARY}
                      $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>)
