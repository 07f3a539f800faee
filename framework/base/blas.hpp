// Matrix products and QR by xtensor-blas over OpenBLAS. Results have the same bits for any number of threads, because
// OpenBLAS computes each call on the calling thread.
//
// OpenBLAS is loaded when an op first needs it, not at program start. Its initialisation takes 128 MiB of addresses per
// core. When mmap fails, it retries in an endless loop, both there and later when a product finds no buffer. The
// functions here therefore test whether the memory is available first and throw an exception if it is not.
#pragma once

#include <utility>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg::blas {

/// While it lives, `threads` threads may call the functions below at the same time: OpenBLAS is loaded and has a buffer
/// for each of them. Throws MemoryError when there is no memory for that, IoError when OpenBLAS cannot be loaded.
class Guard {
 public:
  explicit Guard(int threads);
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  int threads_;
};

/// c (m, n) = op(a) op(b), row-major, where op may transpose; lda, ldb, ldc: elements from one stored row to the next.
struct Gemm {
  bool transpose_a, transpose_b;
  int m, n, k, lda, ldb, ldc;
};
void multiply(const Gemm& shape, const float* a, const float* b, float* c);
void multiply(const Gemm& shape, const double* a, const double* b, double* c);

/// The reduced QR decomposition of an f32 or f64 matrix a (m, n), m >= n; Q (m, n) and R (n, n) are f64.
std::pair<Tensor, Tensor> qr(const Tensor& a);

}  // namespace vg::blas
