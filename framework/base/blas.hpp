// Matrix products and QR by xtensor-blas over OpenBLAS. The same bits for any number of threads: OpenBLAS computes each
// call on the calling thread.
//
// OpenBLAS is loaded when an op first needs it, not at the program's start. Its initialisation takes 128 MiB of
// addresses per core, and it calls mmap in an endless loop when that fails, as it does later when a product finds no
// buffer. Here the memory is tried first, and a failure is an exception.
#pragma once

#include <utility>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg::blas {

/// While it lives, `threads` threads may call the functions below at the same time: OpenBLAS is loaded and has a buffer
/// for each. Throws MemoryError when there is no memory for that, IoError when OpenBLAS cannot be loaded.
class Guard {
 public:
  explicit Guard(int threads);
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  int threads_;
};

/// c (m, n) = op(a) op(b), row-major, op transposing or not; lda, ldb, ldc: elements from a stored row to the next.
struct Gemm {
  bool transpose_a, transpose_b;
  int m, n, k, lda, ldb, ldc;
};
void multiply(const Gemm& shape, const float* a, const float* b, float* c);
void multiply(const Gemm& shape, const double* a, const double* b, double* c);

/// The reduced QR decomposition of an f32 or f64 matrix a (m, n) with m >= n, in f64: Q (m, n), R (n, n).
std::pair<Tensor, Tensor> qr(const Tensor& a);

}  // namespace vg::blas
