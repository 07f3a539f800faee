// Every allocation and every system call of a save, and every allocation of a load or of an optimizer step, fails once
// in turn. Each time there must be an exception, the old file unchanged, no temporary and no open descriptor, and the
// next save must succeed.
//
// This is a separate program, because it replaces operator new, and the linker redirects the library's system calls to
// it (-Wl,--wrap=write and so on, tests/CMakeLists.txt).
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <new>
#include <set>
#include <string>
#include <utility>

#include "support/temp_dir.hpp"
#include "voxgrad/data/data.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/checkpoint/checkpoint_manager.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

namespace fs = std::filesystem;
using vg::test::read_bytes;

namespace {

// Counts calls while it is on; call number `due` fails.
struct Fault {
  bool on = false;
  int calls = 0;
  int due = -1;
  bool happened = false;

  void arm(int number) { *this = {true, 0, number, false}; }
  bool strikes() {
    if (!on || calls++ != due) return false;
    return happened = true;
  }
};

Fault allocation;
Fault system_call;
int system_error = EIO;
const char* only = nullptr;  // the system call that is counted; nullptr: every one
std::string struck;          // the failed call: "close 1" is the second close
bool rival_comes = false;    // another process locks the next temporary before the library does
int rival = -1;

bool system_call_fails(const char* name) {
  if (only != nullptr && std::string_view(only) != name) return false;
  if (!system_call.strikes()) return false;
  const Fault before = std::exchange(allocation, Fault{});
  struck = name;
  allocation = before;
  errno = system_error;
  return true;
}

}  // namespace

// Not inlined, because g++ would warn about malloc together with delete.
[[gnu::noinline]] void* operator new(std::size_t size) {
  void* const p = allocation.strikes() ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

extern "C" {
int __real_open(const char* path, int flags, ...);
ssize_t __real_write(int fd, const void* data, size_t size);
int __real_close(int fd);
int __real_rename(const char* from, const char* to);
int __real_fcntl(int fd, int command, ...);
int __real_fstat(int fd, struct stat* into);
int __real_fchmod(int fd, mode_t mode);
int __real_flock(int fd, int operation);
void* __real_aligned_alloc(size_t alignment, size_t size);

int __wrap_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return system_call_fails("open") ? -1 : __real_open(path, flags, mode);
}
ssize_t __wrap_write(int fd, const void* data, size_t size) {
  if (!system_call_fails("write")) return __real_write(fd, data, size);
  if (system_error != 0) return -1;
  return __real_write(fd, data, size / 2 + 1);  // no error: a partial write
}
// Does not flush, because thousands of saves would wait for the disk.
int __wrap_fsync(int) { return system_call_fails("fsync") ? -1 : 0; }
int __wrap_close(int fd) {
  const bool fails = system_call_fails("close");
  const int error = errno, result = __real_close(fd);  // on Linux a close that fails has closed the descriptor
  errno = fails ? error : errno;
  return fails ? -1 : result;
}
int __wrap_rename(const char* from, const char* to) {
  return system_call_fails("rename") ? -1 : __real_rename(from, to);
}
int __wrap_fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  const int argument = va_arg(rest, int);
  va_end(rest);
  return system_call_fails("fcntl") ? -1 : __real_fcntl(fd, command, argument);
}
int __wrap_fstat(int fd, struct stat* into) { return system_call_fails("fstat") ? -1 : __real_fstat(fd, into); }
int __wrap_fchmod(int fd, mode_t mode) { return system_call_fails("fchmod") ? -1 : __real_fchmod(fd, mode); }
int __wrap_flock(int fd, int operation) {
  if (rival_comes) {  // through a separate open file, as another process would
    rival_comes = false;
    rival = __real_open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY);
    __real_flock(rival, LOCK_EX | LOCK_NB);
  }
  return system_call_fails("flock") ? -1 : __real_flock(fd, operation);
}
void* __wrap_aligned_alloc(size_t alignment, size_t size) {
  return allocation.strikes() ? nullptr : __real_aligned_alloc(alignment, size);
}
}

namespace {

int failures = 0;

void expect(bool holds, const std::string& what, int number) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s (fault %d, %s)\n", what.c_str(), number, struck.c_str());
}

long open_descriptors() { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}); }

// The message of the exception, or "".
std::string thrown(const std::function<void()>& work) {
  std::string what;
  try {
    work();
  } catch (const std::exception& e) {
    allocation.on = system_call.on = false;
    what = std::string("x") + e.what();
  }
  allocation.on = system_call.on = false;
  return what;
}

// All files of a folder with their contents, and the targets of links.
std::string listing(const fs::path& folder) {
  std::set<fs::path> names;
  for (const auto& e : fs::recursive_directory_iterator(folder)) names.insert(e.path());
  std::string text;
  for (const fs::path& p : names)
    text += p.string() + "\n" +
            (fs::is_symlink(p)        ? fs::read_symlink(p).string()
             : fs::is_regular_file(p) ? read_bytes(p)
                                      : "") +
            "\n";
  return text;
}

// A run that saves into a plain file or into a folder; the contents differ each time.
struct Saves {
  vg::test::TempDir folder;
  vg::Sequential model;
  vg::AdamW optimizer{model.parameters()};
  vg::Ema ema{model.parameters()};
  vg::DataLoader loader{vg::ShapesDataset({.count = 8, .size = 8}), {}};
  bool in_folder;
  vg::Checkpoint plain;
  vg::CheckpointManager kept{folder / "run", {.keep_last = 1, .best = vg::Best::highest}};
  std::int64_t step = 0;

  explicit Saves(bool to_folder, std::int64_t width)
      : model(vg::Linear({.in_size = {width}, .out_features = width}), vg::Dropout({.seed = 1})), in_folder(to_folder) {
    (in_folder ? kept.checkpoint() : plain).model(model).optimizer(optimizer).part("ema", ema).part("loader", loader);
    model.train();
    model.eval();
    next();
    optimizer.step();
    save();
  }
  void next() {
    ++step;
    for (auto [path, state] : model.parameters())
      for (const std::string& leaf : state.leaves()) state.set_grad(leaf, state[leaf].detach());
    optimizer.step();
    ema.update();
    loader.next();
    vg::random::default_generator().next();
  }
  void write() {
    if (in_folder)
      kept.save(step, static_cast<double>(step));
    else
      plain.save(folder / "m.json");
  }
  void save() {
    next();
    write();
  }
  // The complete contents of a checkpoint.
  std::string contents() {
    plain.save(folder / "now.json");
    return read_bytes(folder / "now.json");
  }
};

// Tries faults 0, 1, ... of a save until one is beyond its end, and returns their number. may_pass() says whether the
// save may succeed although this fault happened, may_be_new() whether the new file may exist although it threw.
template <class MayPass, class MayBeNew>
int each_fault_of_a_save(Fault& fault, bool in_folder, MayPass may_pass, MayBeNew may_be_new) {
  Saves run(in_folder, &fault == &allocation ? 8 : 100);  // many small saves, or fewer with several writes
  for (int number = 0;; ++number) {
    run.next();
    vg::memory::release_cached();  // so that tensors are allocated
    const std::string old = listing(run.folder.path());
    const long descriptors = open_descriptors();
    fault.arm(number);
    const std::string what = thrown([&] { run.write(); });
    const bool happened = fault.happened;
    expect(open_descriptors() == descriptors, "descriptors are left open", number);
    const std::string now = listing(run.folder.path());
    expect(now.find(".tmp") == now.npos, "a temporary is left", number);
    if (!happened) {
      expect(what.empty(), "a save without a fault threw " + what, number);
      return number;
    }
    if (what.empty())
      expect(may_pass(), "the fault was passed over", number);
    else if (now != old)
      expect(may_be_new(), "the old file is not what it was, after " + what, number);
    const std::string again = thrown([&] { run.save(); });
    expect(again.empty(), "the next save threw " + again, number);
    expect(listing(run.folder.path()) != old, "the next save wrote nothing", number);
    struck.clear();
  }
}

int system_faults(const char* name, int error, bool in_folder, bool may_pass, bool may_be_new = false) {
  only = name;
  system_error = error;
  const int count = each_fault_of_a_save(
      system_call, in_folder, [&] { return may_pass; }, [&] { return may_be_new; });
  only = nullptr;
  return count;
}

// Another process holds the lock of the temporary: the save must use another temporary. A save that waits is killed.
void a_rival_lock() {
  Saves run(false, 8);
  run.next();
  const std::string old = listing(run.folder.path());
  rival_comes = true;
  ::alarm(60);
  const std::string what = thrown([&] { run.write(); });
  ::alarm(0);
  expect(what.empty(), "a save with a rival's lock threw " + what, 0);
  const std::string now = listing(run.folder.path());
  expect(now != old && now.find(".tmp") == now.npos, "the save wrote nothing or left its temporaries", 0);
  ::close(rival);
}

int each_allocation_of_a_load() {
  Saves run(false, 8);
  for (int number = 0;; ++number) {
    run.next();
    const std::string before = run.contents();
    const long descriptors = open_descriptors();
    vg::memory::release_cached();
    allocation.arm(number);
    const std::string what = thrown([&] { run.plain.load(run.folder / "m.json"); });
    const bool happened = allocation.happened;
    expect(open_descriptors() == descriptors, "descriptors are left open", number);
    if (!what.empty()) {
      expect(run.contents() == before, "the model, the optimizer or a part has changed", number);
      continue;
    }
    // If the pool has tried the system twice, the load succeeds completely.
    expect(run.contents() == read_bytes(run.folder / "m.json"), "what was loaded is not what the file holds", number);
    if (!happened) return number;
  }
}

// An optimizer step while other tensors share its moments and values, so that it must copy them.
int each_allocation_of_a_step() {
  Saves run(false, 8);
  for (int number = 0;; ++number) {
    run.next();
    const vg::StateDict shared = run.optimizer.save_state();
    const std::string before = run.contents();
    vg::memory::release_cached();
    allocation.arm(number);
    const std::string what = thrown([&] { run.optimizer.step(); });
    const bool happened = allocation.happened;
    if (what.empty())  // the last one; a step also succeeds if the pool has tried the system twice
      expect(run.contents() != before, "the step has changed nothing", number);
    else
      expect(run.contents() == before, "a step that threw has changed something", number);
    if (!happened) return number;
  }
}

}  // namespace

int main() {
  vg::set_num_threads(1);
  const auto never = [] { return false; };
  for (const bool in_folder : {false, true}) {
    std::printf("%s:\n", in_folder ? "CheckpointManager" : "Checkpoint");
    // After the file is safe, a folder only deletes old files, which may fail silently.
    std::printf("  %d allocations\n", each_fault_of_a_save(
                                          allocation, in_folder, [&] { return in_folder; }, never));
    for (const int error : {EIO, ENOSPC}) {
      std::printf("  %d writes\n", system_faults("write", error, in_folder, false));
      std::printf("  %d renames\n", system_faults("rename", error, in_folder, false));
      // The second fsync is that of the folder: the new file exists, and the exception says so.
      std::printf("  %d fsyncs\n", system_faults("fsync", error, in_folder, false, true));
      std::printf("  %d opens\n", system_faults("open", error, in_folder, false));
      // Only the first close concerns the file, and fsync has already succeeded.
      std::printf("  %d closes\n", system_faults("close", error, in_folder, true));
      std::printf("  %d fcntls\n", system_faults("fcntl", error, in_folder, false));
      std::printf("  %d fstats\n", system_faults("fstat", error, in_folder, false));
      std::printf("  %d flocks\n", system_faults("flock", error, in_folder, true));    // locks are optional
      std::printf("  %d fchmods\n", system_faults("fchmod", error, in_folder, true));  // default mode
    }
    // These are not failures: a signal during a call, and a partial write.
    for (const char* name : {"write", "fsync", "close", "open"}) system_faults(name, EINTR, in_folder, true);
    system_faults("write", 0, in_folder, true);
  }
  a_rival_lock();
  std::printf("load: %d allocations\n", each_allocation_of_a_load());
  std::printf("optimizer step: %d allocations\n", each_allocation_of_a_step());
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
