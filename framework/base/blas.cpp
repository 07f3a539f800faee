#include "voxgrad/framework/base/blas.hpp"

#include <dlfcn.h>
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

// xtensor-blas calls the CBLAS and LAPACK functions defined below. Without HAVE_CBLAS it uses slow generic loops.
#define HAVE_CBLAS 1
#define cblas_sgemm voxgrad_sgemm
#define cblas_dgemm voxgrad_dgemm
#define dgeqrf_ voxgrad_dgeqrf
#define dorgqr_ voxgrad_dorgqr
#include <xtensor-blas/xlinalg.hpp>

#include "voxgrad/framework/base/array.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/out_of_memory.hpp"

namespace vg::blas {

namespace {

// The functions of OpenBLAS. They are loaded once and never unloaded.
struct Library {
  decltype(&::voxgrad_sgemm) sgemm;
  decltype(&::voxgrad_dgemm) dgemm;
  decltype(&cxxlapack::voxgrad_dgeqrf) dgeqrf;
  decltype(&cxxlapack::voxgrad_dorgqr) dorgqr;
  // OpenBLAS's own buffers. Null if another library of that name was loaded, where no such buffers are expected.
  void* (*allocate_buffer)(int);
  void (*free_buffer)(void*);
};

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr std::size_t buffer_bytes = 130 * mebibyte;  // 128 MiB and its alignment

std::mutex mutex;                             // for loading and for new buffers
std::atomic<const Library*> loaded{nullptr};  // set once
std::atomic<int> ready{0};                    // buffers that OpenBLAS has for products
std::atomic<int> reserved{0};                 // number of them in use by Scopes

const Library& library() { return *loaded.load(std::memory_order_acquire); }

// Throws MemoryError unless the system can provide `bytes` of address space now.
void try_memory(const char* what, std::size_t bytes) {
  void* const p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw out_of_memory(what, bytes);
  ::munmap(p, bytes);
}

// The number of threads that OpenBLAS prepares for when it is loaded. It allocates one buffer per thread.
std::size_t threads_at_load() {
  for (const char* name : {"OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"})
    if (const char* value = std::getenv(name))
      if (const int n = std::atoi(value); n > 0) return static_cast<std::size_t>(std::min(n, omp_get_num_procs()));
  return static_cast<std::size_t>(omp_get_num_procs());
}

void load() {
  constexpr const char* name = "libopenblas.so.0";
  void* handle = ::dlopen(name, RTLD_NOW | RTLD_NOLOAD);  // another library may have loaded it
  if (handle == nullptr) {
    try_memory("loading OpenBLAS", threads_at_load() * buffer_bytes + 64 * mebibyte);
    handle = ::dlopen(name, RTLD_NOW);
  }
  if (handle == nullptr)
    throw IoError(std::string("[OpenBLAS] loading failed: ") + ::dlerror() + " (Debian: libopenblas0-openmp)");
  const auto find = [&](const char* symbol, auto& into) {
    into = reinterpret_cast<std::remove_reference_t<decltype(into)>>(::dlsym(handle, symbol));
    return into != nullptr;
  };
  static Library found;
  if (!find("cblas_sgemm", found.sgemm) || !find("cblas_dgemm", found.dgemm) || !find("dgeqrf_", found.dgeqrf) ||
      !find("dorgqr_", found.dorgqr))
    throw IoError(std::string("[OpenBLAS] ") + name + " lacks cblas_sgemm, cblas_dgemm, dgeqrf_ or dorgqr_");
  if (!find("blas_memory_alloc", found.allocate_buffer) || !find("blas_memory_free", found.free_buffer))
    found.allocate_buffer = nullptr;
  loaded.store(&found, std::memory_order_release);
}

// Allocates this many OpenBLAS buffers at the same time and frees them, so that OpenBLAS keeps as many for later calls.
void make_buffers(int wanted) {
  if (library().allocate_buffer == nullptr) return;
  struct Held {
    std::vector<void*> buffers;
    ~Held() {
      for (void* b : buffers) library().free_buffer(b);
    }
  } held;
  held.buffers.reserve(static_cast<std::size_t>(wanted));
  while (std::ssize(held.buffers) < wanted) {
    try_memory("a buffer of OpenBLAS", buffer_bytes);
    held.buffers.push_back(library().allocate_buffer(0));
  }
}

// OpenBLAS (its OpenMP build) uses as many threads as OpenMP would. Within this scope the calling thread's OpenMP
// regions have one thread. Other threads are not affected, and the destructor restores the caller's setting.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) {
    // A thread's first omp_set_num_threads allocates some memory; if that fails, libgomp ends the process.
    thread_local bool has_setting = false;
    if (!has_setting) {
      void* const p = std::malloc(4096);
      if (p == nullptr) throw out_of_memory("OpenMP", 4096);
      std::free(p);
    }
    omp_set_num_threads(1);
    has_setting = true;
  }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

template <class T>
void multiply_by_xtensor(const Gemm& g, const T* a, const T* b, T* c) {
  const OneThread one;
  const auto op = [](bool transpose) { return transpose ? cxxblas::Trans : cxxblas::NoTrans; };
  cxxblas::gemm<int>(cxxblas::RowMajor, op(g.transpose_a), op(g.transpose_b), g.m, g.n, g.k, T(1), a, g.lda, b, g.ldb,
                     T(0), c, g.ldc);
}

}  // namespace

Guard::Guard(int threads) : threads_(threads) {
  const int wanted = reserved.fetch_add(threads) + threads;
  if (loaded.load(std::memory_order_acquire) != nullptr && wanted <= ready) return;
  try {
    const std::lock_guard lock(mutex);
    if (loaded.load(std::memory_order_relaxed) == nullptr) load();
    if (wanted <= ready) return;
    make_buffers(wanted);
    ready = wanted;
  } catch (...) {
    reserved -= threads;
    throw;
  }
}

Guard::~Guard() { reserved -= threads_; }

void multiply(const Gemm& shape, const float* a, const float* b, float* c) { multiply_by_xtensor(shape, a, b, c); }
void multiply(const Gemm& shape, const double* a, const double* b, double* c) { multiply_by_xtensor(shape, a, b, c); }

std::pair<Tensor, Tensor> qr(const Tensor& a) {
  const OneThread one;
  const Tensor wide = a.to(f64);
  const auto [q, r] = xt::linalg::qr(xt::xarray<double>(wide.array<double>()));
  return {Tensor::from(q), Tensor::from(r)};
}

}  // namespace vg::blas

extern "C" {

void voxgrad_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, CBLAS_INT m, CBLAS_INT n, CBLAS_INT k,
                   float alpha, const float* a, CBLAS_INT lda, const float* b, CBLAS_INT ldb, float beta, float* c,
                   CBLAS_INT ldc) {
  vg::blas::library().sgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void voxgrad_dgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, CBLAS_INT m, CBLAS_INT n, CBLAS_INT k,
                   double alpha, const double* a, CBLAS_INT lda, const double* b, CBLAS_INT ldb, double beta, double* c,
                   CBLAS_INT ldc) {
  vg::blas::library().dgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void voxgrad_dgeqrf(const int* m, const int* n, double* a, const int* lda, double* tau, double* work, const int* lwork,
                    int* info) {
  vg::blas::library().dgeqrf(m, n, a, lda, tau, work, lwork, info);
}

void voxgrad_dorgqr(const int* m, const int* n, const int* k, double* a, const int* lda, const double* tau,
                    double* work, const int* lwork, int* info) {
  vg::blas::library().dorgqr(m, n, k, a, lda, tau, work, lwork, info);
}

}  // extern "C"
