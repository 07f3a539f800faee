// AsyncCheckpointWriter writes a checkpoint while training goes on.
//
//   vg::AsyncCheckpointWriter saving;
//   saving.save(checkpoint, "checkpoint.json");  // takes a snapshot and returns
//   ...
//   saving.check();                              // at each step: throws the exception of a failed save, if any
//   saving.wait();                               // at the end
#pragma once

#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <thread>

#include "voxgrad/framework/checkpoint/checkpoint.hpp"

namespace vg {

/// Runs one save at a time, on its own thread. All calls must come from one thread.
class AsyncCheckpointWriter {
 public:
  AsyncCheckpointWriter() = default;
  /// Waits for the save. Its exception is lost then, so call wait() first.
  ~AsyncCheckpointWriter();
  AsyncCheckpointWriter(const AsyncCheckpointWriter&) = delete;
  AsyncCheckpointWriter& operator=(const AsyncCheckpointWriter&) = delete;

  /// Writes the checkpoint as it is now; it may change as soon as this returns. First wait()s for the previous save.
  void save(const Checkpoint& checkpoint, const std::filesystem::path& path, const SaveOptions& options = {});
  /// Runs any work in place of a save.
  void run(std::function<void()> work);
  /// Waits for the current save, if there is one, and rethrows its exception once. After an exception the file is as
  /// after a Checkpoint::save that throws, and the next save can be made.
  void wait();
  /// Rethrows the exception of a finished save once. Never waits.
  void check() {
    if (!busy()) wait();
  }
  /// Whether a save is running, so that save() would wait.
  bool busy() const { return busy_.load(); }

 private:
  std::thread thread_;
  std::exception_ptr error_;  ///< written by the thread, read after join()
  std::atomic<bool> busy_{false};
};

}  // namespace vg
