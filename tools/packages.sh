# The Debian packages that voxgrad needs, for quickstart and test (sourced). ARCHITECTURE.md gives the reason for each.
build_packages='g++ cmake ninja-build libxtensor-dev libxtensor-blas-dev libopenblas-openmp-dev nlohmann-json3-dev librandom123-dev libnifti2-dev libcli11-dev libfmt-dev zlib1g-dev'
data_packages='mricron-data'
test_packages='catch2 clang-14 libomp-14-dev libclang-rt-14-dev python3 python3-jsonschema python3-numpy binutils'
