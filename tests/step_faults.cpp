// Out of memory in training steps: each allocation of a step fails in turn, alone or with all later ones, on one thread
// and on two. Each time there must be a std::bad_alloc (often a MemoryError) or a step that succeeded without the
// memory, and no hang. The repeated step must give the loss, the gradients and the weights of an undisturbed run, to
// the bit. usage: step_faults [STRIDE] tries every STRIDE-th allocation.
//
// The program also counts the destructors that threads of a parallel region register: glibc aborts a process that has
// no memory for that, so there must be none.
//
// This is a separate program, because it replaces operator new, and the linker redirects the library's aligned_alloc,
// mmap, pthread_create and __cxa_thread_atexit to it (-Wl,--wrap, tests/CMakeLists.txt).
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/loss.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

namespace {

// Counts calls of one kind while it is on; call number `due` fails, or that call and all later ones.
struct Fault {
  std::atomic<bool> on{false};
  std::atomic<int> calls{0};
  int due = 0;
  bool lasting = false;

  void arm(int number, bool from_there_on) {
    due = number;
    lasting = from_there_on;
    calls = 0;
    on = true;
  }
  bool strikes() {
    if (!on) return false;
    const int number = calls++;
    return number == due || (lasting && number > due);
  }
};

Fault allocation, mapping, thread_start;
std::atomic<int> destructors_registered{0};

void* allocate(std::size_t size, std::size_t alignment) {
  if (allocation.strikes()) throw std::bad_alloc();
  void* p = nullptr;
  if (posix_memalign(&p, std::max(alignment, sizeof(void*)), size) != 0) throw std::bad_alloc();
  return p;
}

}  // namespace

// Not inlined, because g++ would warn about malloc together with delete.
[[gnu::noinline]] void* operator new(std::size_t size) { return allocate(size, 16); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

extern "C" {
void* __real_aligned_alloc(size_t alignment, size_t size);
void* __real_mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset);
int __real___cxa_thread_atexit(void (*destructor)(void*), void* object, void* library);
int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument);

void* __wrap_aligned_alloc(size_t alignment, size_t size) {
  return allocation.strikes() ? nullptr : __real_aligned_alloc(alignment, size);
}
void* __wrap_mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  if (!mapping.strikes()) return __real_mmap(address, length, protection, flags, fd, offset);
  errno = ENOMEM;
  return MAP_FAILED;
}
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  return thread_start.strikes() ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}
int __wrap___cxa_thread_atexit(void (*destructor)(void*), void* object, void* library) {
  if (vg::detail::team_place().size != 0) ++destructors_registered;
  return __real___cxa_thread_atexit(destructor, object, library);
}
}

namespace {

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

vg::Conv3d conv(std::int64_t out, std::int64_t kernel, std::int64_t stride = 1, std::int64_t groups = 1) {
  return vg::Conv3d({.out_channels = out, .kernel_size = kernel, .stride = stride, .groups = groups});
}

// A net and the shapes of its training data, volumes of two channels.
struct Case {
  const char* name;
  std::function<vg::Sequential()> make;
  vg::Shape labels;  // one label per voxel or per sample
};

const vg::Size in_size{8, 8, 8, 2};

std::vector<Case> cases() {
  return {
      {"U-Net with concat",
       [] {
         auto inner = vg::Sequential(vg::MaxPool3d({.kernel_size = 2, .stride = 2}), conv(8, 3), vg::InstanceNorm3d(),
                                     vg::LeakyReLU(), vg::Upsample({.scale = 2}));
         return vg::Sequential(vg::Conv3d({.in_size = in_size, .out_channels = 4, .kernel_size = 3}), vg::ReLU(),
                               vg::Branches({.join = "concat"}, vg::Identity(), std::move(inner)), conv(8, 3),
                               vg::ReLU(), conv(3, 1));
       },
       {2, 8, 8, 8}},
      {"residual block with BatchNorm",
       [] {
         auto block = vg::Sequential(conv(8, 3), vg::BatchNorm3d(), vg::ReLU(), conv(8, 3), vg::BatchNorm3d());
         return vg::Sequential(vg::Conv3d({.in_size = in_size, .out_channels = 8, .kernel_size = 3, .stride = 2}),
                               vg::Branches({}, std::move(block), vg::Identity()), vg::ReLU(), vg::GlobalAvgPool3d(),
                               vg::Linear({.out_features = 3}));
       },
       {2}},
      {"small CNN with Dropout",
       [] {
         return vg::Sequential(vg::Conv3d({.in_size = in_size, .out_channels = 8, .kernel_size = 3}), vg::ReLU(),
                               vg::MaxPool3d({.kernel_size = 2, .stride = 2}), vg::SpatialDropout3d({.keep_prob = 0.8}),
                               vg::Flatten(), vg::Dropout({.keep_prob = 0.8}), vg::Linear({.out_features = 16}),
                               vg::ReLU(), vg::Linear({.out_features = 3}));
       },
       {2}},
      {"MedNeXt block",
       [] {
         auto block =
             vg::Sequential(conv(8, 3, 1, 8), vg::GroupNorm({.num_groups = 8}), conv(16, 1), vg::GELU(), conv(8, 1));
         return vg::Sequential(vg::Conv3d({.in_size = in_size, .out_channels = 8, .kernel_size = 1}),
                               vg::Branches({}, std::move(block), vg::Identity()), conv(3, 1));
       },
       {2, 8, 8, 8}},
  };
}

// A training run. Two runs with the same seed are the same to the bit.
struct Run {
  vg::Sequential model;
  vg::AdamW optimizer;
  vg::random::Generator generator{7};  // for Dropout
  vg::Variable x;
  vg::Tensor labels;
  float loss = 0;

  explicit Run(const Case& c)
      : model((vg::random::seed(3), c.make())),
        optimizer(model.parameters()),
        x(vg::random::normal({1, 2}, {2, 8, 8, 8, 2})),
        labels(vg::random::randint({3, 4}, c.labels, 0, 3)) {
    model.train();
  }
  void step() {
    const vg::random::GeneratorGuard scope(generator);
    model.zero_grad();
    const vg::Variable value = vg::cross_entropy(model(x), labels);
    value.backward();
    optimizer.step();
    loss = static_cast<float>(value.item());
  }
  // The bits of the loss, all gradients and weights.
  std::string bits() {
    std::string all(reinterpret_cast<const char*>(&loss), sizeof loss);
    const auto add = [&](const vg::Tensor& t) {
      all.append(static_cast<const char*>(t.raw()), static_cast<std::size_t>(t.bytes()));
    };
    for (auto [path, state] : model.parameters())
      for (const std::string& leaf : state.leaves()) add(state[leaf].value()), add(state[leaf].grad().value());
    return all;
  }
};

// Runs a step that may fail and repeats it if it has thrown. Returns whether it has thrown.
bool step_and_again(Run& run, const std::string& what) {
  const vg::random::Key key = run.generator.key();
  bool thrown = false;
  try {
    run.step();
  } catch (const std::bad_alloc&) {
    thrown = true;
  } catch (const std::exception& e) {
    allocation.on = false;
    thrown = true;
    expect(false, what + ": got another exception: " + e.what());
  }
  allocation.on = mapping.on = thread_start.on = false;
  if (!thrown) return false;
  run.generator.set_key(key);
  run.step();
  return true;
}

// Lets allocations 0, stride, 2 stride, ... fail until a step has fewer.
void each_allocation(const Case& c, int threads, bool lasting, int stride) {
  Run run(c), undisturbed(c);
  int thrown = 0, steps = 0;
  bool struck = true;
  for (int number = 0; struck; number += stride, ++steps) {
    const std::string what = std::string(c.name) + ", allocation " + std::to_string(number);
    vg::memory::release_cached();
    allocation.arm(number, lasting);
    thrown += step_and_again(run, what);
    struck = allocation.calls > number;
    undisturbed.step();
    expect(run.bits() == undisturbed.bits(), what + ": the step tried again gives other bits");
  }
  std::printf("%s, %d threads, %s: %d steps, %d exceptions\n", c.name, threads,
              lasting ? "from one on all fail" : "one fails", steps, thrown);
  expect(thrown > 0, "no failure came through");
}

// The first product loads OpenBLAS, which later maps buffers for more threads.
void each_mapping_of_matmul() {
  const vg::Variable a(vg::Tensor::ones({600, 40})), b(vg::Tensor::ones({40, 600}));
  for (const int number : {0, 1, 2, 0}) {
    vg::set_num_threads(number == 0 ? 1 : 2);
    mapping.arm(number, false);
    std::string what;
    try {
      vg::matmul(a, b);
    } catch (const vg::MemoryError& e) {
      what = e.what();
    }
    mapping.on = false;
    const bool struck = mapping.calls > number;
    std::printf("matmul, mapping %d of %d: %s\n", number, mapping.calls.load(), what.c_str());
    expect(struck == (what.find("[matmul] out of memory: ") == 0 && what.find("OpenBLAS") != what.npos),
           "matmul says what failed: " + what);
    expect(vg::matmul(a, b).value().value_at(0) == 40, "the next product is right");
  }
}

// The first parallel op of a thread starts its team.
void each_thread_start(const Case& c) {
  Run run(c), undisturbed(c);
  undisturbed.step();
  for (const int number : {0, 1, 2}) {
    const bool lasting = number == 0;
    std::thread user([&] {
      vg::set_num_threads(4);
      thread_start.arm(number, lasting);
      step_and_again(run, "no thread");
    });
    user.join();
    expect(thread_start.calls > number, "threads are started");
    expect(run.bits() == undisturbed.bits(), "a step with fewer threads gives other bits");
    undisturbed.step();
    vg::memory::release_cached();
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const int stride = argc > 1 ? std::atoi(argv[1]) : 1;
  each_mapping_of_matmul();
  for (const Case& c : cases()) {
    each_thread_start(c);
    for (const int threads : {1, 2}) {
      vg::set_num_threads(threads);
      for (const bool lasting : {false, true}) each_allocation(c, threads, lasting, stride);
    }
  }
  expect(destructors_registered == 0, "a parallel region registers no destructor of a thread");
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
