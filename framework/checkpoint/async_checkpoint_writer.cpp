#include "voxgrad/framework/checkpoint/async_checkpoint_writer.hpp"

#include <csignal>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/checkpoint/checkpoint.hpp"

namespace vg {

namespace {

// // A new thread inherits the signal mask of its creator. With all signals blocked, they stay with the program's own
// threads.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

AsyncCheckpointWriter::~AsyncCheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

void AsyncCheckpointWriter::save(const Checkpoint& checkpoint, const std::filesystem::path& path,
                                 const SaveOptions& options) {
  wait();
  run([snapshot = std::make_shared<Snapshot>(checkpoint.snapshot()), path, options] {
    snapshot->detach();
    snapshot->save(path, options);
  });
}

void AsyncCheckpointWriter::run(std::function<void()> work) {
  wait();
  const BlockSignals blocked;
  busy_ = true;
  try {
    thread_ = std::thread([this, work = std::move(work)]() mutable {
      try {
        work();
      } catch (...) {
        error_ = std::current_exception();
      }
      work = nullptr;  // free the work's captures before busy() turns false
      busy_ = false;
    });
  } catch (const std::system_error& e) {
    busy_ = false;
    throw IoError(fmt::format("[AsyncCheckpointWriter] no thread could be started: {}", e.what()));
  } catch (...) {
    busy_ = false;
    throw;
  }
}

void AsyncCheckpointWriter::wait() {
  if (thread_.joinable()) thread_.join();
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace vg
