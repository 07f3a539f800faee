// AsyncCheckpointWriter: a checkpoint is written while training goes on.
//
//   vg::AsyncCheckpointWriter saving;
//   saving.save(checkpoint, "checkpoint.json");  // takes a snapshot and returns
//   ...
//   saving.check();                              // at each step: throws what went wrong, if it has
//   saving.wait();                               // at the end
#pragma once

#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <thread>

#include "voxgrad/framework/checkpoint/checkpoint.hpp"

namespace vg {

/// One save at a time, on a thread of its own. To be called from one thread.
class AsyncCheckpointWriter {
 public:
  AsyncCheckpointWriter() = default;
  /// Waits. What went wrong is lost then: call wait() first.
  ~AsyncCheckpointWriter();
  AsyncCheckpointWriter(const AsyncCheckpointWriter&) = delete;
  AsyncCheckpointWriter& operator=(const AsyncCheckpointWriter&) = delete;

  /// Writes the checkpoint as it is now, which may change as soon as this returns. First wait()s for the save before.
  void save(const Checkpoint& checkpoint, const std::filesystem::path& path, const SaveOptions& options = {});
  /// Any work in place of a save.
  void run(std::function<void()> work);
  /// Waits for the save that is under way, if any, and throws what it threw, once. Whatever it threw, its file is as
  /// after a Checkpoint::save that throws, and the next save can be made.
  void wait();
  /// Throws what a save has thrown that is no longer under way, once; waits for nothing.
  void check() {
    if (!busy()) wait();
  }
  /// Whether a save is under way: save() would wait.
  bool busy() const { return busy_.load(); }

 private:
  std::thread thread_;
  std::exception_ptr error_;  ///< written by the thread, read after join()
  std::atomic<bool> busy_{false};
};

}  // namespace vg
