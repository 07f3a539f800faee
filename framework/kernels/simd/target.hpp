// cmake/kernels.cmake compiles each kernel source once per instruction set and defines two macros: VOXGRAD_SIMD is the
// header of the set's vectors, VOXGRAD_TARGET its name. This header includes the vectors, so the `*-inl.hpp` come after
// it.
#pragma once

#include VOXGRAD_SIMD

#define VOXGRAD_JOIN_TOKENS(set, what) set##_##what
#define VOXGRAD_JOIN(set, what) VOXGRAD_JOIN_TOKENS(set, what)
/// The symbol of `what` in this build: avx2_kernels for OF_TARGET(kernels).
#define VOXGRAD_OF_TARGET(what) VOXGRAD_JOIN(VOXGRAD_TARGET, what)
