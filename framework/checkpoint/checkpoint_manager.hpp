// CheckpointManager keeps a run's checkpoints in one folder: the last few and the best. After a crash it resumes from
// the newest that can be read.
//
//   vg::CheckpointManager run("output/checkpoints", {.keep_last = 3, .best = vg::Best::highest});
//   run.checkpoint().model(model).optimizer(optimizer).part("loader", loader);
//   const vg::ResumeInfo resumed = run.resume();     // the newest that can be read; step 0 if there is none
//   for (std::int64_t step = resumed.step + 1; step <= steps; ++step) {
//     ...
//     if (step % 100 == 0) run.save_in_background(step, dice);
//     run.check();                                // throws the exception of a failed background save
//   }
//   run.wait();                                   // throws the exception of the last save, if it failed
//
// The default random generator (Dropout's) belongs to the checkpoint without being named. From its first use on, this
// object holds the folder exclusively: a second run with the same folder is refused (framework/system/folder_lock.hpp).
//
// The files are named step-000000100.json and so on; best.json is a link to the best one. They contain no times: a run
// that was killed and resumed leaves the same files, byte for byte, as a run that was not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/system/folder_lock.hpp"

namespace vg {

/// Writes a checkpoint while training goes on. Runs one save at a time, on its own thread; all calls must come from one
/// thread.
///   vg::AsyncCheckpointWriter saving;
///   saving.save(checkpoint, "checkpoint.json");  // takes a snapshot and returns
///   saving.check();                              // at each step: throws the exception of a failed save, if any
///   saving.wait();                               // at the end; the destructor loses the exception
class AsyncCheckpointWriter {
 public:
  /// Writes the checkpoint as it is now; it may change as soon as this returns. First wait()s for the previous save.
  void save(const Checkpoint& checkpoint, const std::filesystem::path& path, const SaveOptions& options = {});
  /// Runs any work in place of a save.
  void run(std::function<void()> work);
  /// Waits for the current save, if there is one, and rethrows its exception once. After an exception the file is as
  /// after a Checkpoint::save that throws, and the next save can be made.
  void wait() {
    if (saving_.valid()) saving_.get();
  }
  /// Rethrows the exception of a finished save once. Never waits.
  void check() {
    if (!busy()) wait();
  }
  /// Whether a save is running, so that save() would wait.
  bool busy() const;

 private:
  std::future<void> saving_;
};

/// Whether a higher or a lower metric is better.
enum class Best { highest, lowest };

struct CheckpointManagerOptions {
  int keep_last = 2;           ///< at least 1
  std::optional<Best> best{};  ///< also keep the checkpoint with the best metric
  /// Refuse to save a model that holds a NaN or an infinity, so that a run can continue from the newest checkpoint.
  bool require_finite = true;
  SaveOptions save{};  ///< how the files are written; allow_nan is not used
};

/// The result of CheckpointManager::resume().
struct ResumeInfo {
  struct Skipped {
    std::filesystem::path path;
    std::string why;
  };
  std::int64_t step = 0;         ///< the last finished step; 0 for a fresh start, without a checkpoint
  std::filesystem::path path;    ///< the file that was loaded; empty for a fresh start
  std::vector<Skipped> skipped;  ///< newer files that could not be read, newest first
  explicit operator bool() const { return !path.empty(); }
};

/// resume(), save() and clear() make the folder if it does not exist, check that it is writable and lock it until this
/// object ends. They throw IoError if that fails or if another run holds the folder; the message names its process.
/// steps() and path_of() do not lock it. To read a model from a run that is in progress, call vg::load(model,
/// run.path_of(step)).
class CheckpointManager {
 public:
  /// Does not access the folder yet. Throws ValueError for keep_last below 1.
  explicit CheckpointManager(std::filesystem::path folder, CheckpointManagerOptions options = {});

  /// The run's parts. save() sets the entries "step" and, if options.best is set, "best_step" and "best_metric" of its
  /// `progress`.
  Checkpoint& checkpoint() { return checkpoint_; }

  /// Loads the newest checkpoint that can be read and deletes leftovers of killed processes: temporary files and, if
  /// the newest file could be read, the checkpoints that its save would have deleted. Throws IoError with the reasons
  /// if there are checkpoints but none can be read. Throws ValueError, having changed nothing, if the newest readable
  /// checkpoint does not fit this run.
  ResumeInfo resume(const LoadOptions& options = {});
  /// Saves a checkpoint, then deletes those that are no longer kept. `metric` says how good the run is now; a NaN is
  /// never the best. Throws IoError if the file cannot be written, NonFiniteError (see require_finite), and ValueError
  /// for a step below 1 or below one in the folder: checkpoints of two runs are not mixed, so call resume() or clear()
  /// first. After an exception all older checkpoints are still there.
  void save(std::int64_t step, std::optional<double> metric = {});
  /// Saves a snapshot on another thread. First waits for the previous save and throws its exception, if it failed.
  void save_in_background(std::int64_t step, std::optional<double> metric = {});
  /// Rethrows the exception of a finished background save once; never waits. Call it at each step of a loop: without an
  /// exception it costs one load from memory.
  void check();
  /// Waits for the background save and rethrows its exception once.
  void wait();
  /// Removes all checkpoints of the folder.
  void clear();

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path path_of(std::int64_t step) const;
  /// The steps of the checkpoints in the folder, ascending.
  std::vector<std::int64_t> steps() const;
  /// The step with the best metric so far; 0 if there is none.
  std::int64_t best_step() const { return best_.step; }

 private:
  struct Mark {
    std::int64_t step = 0;
    double metric = 0;
  };
  void take_folder();
  void check_step(std::int64_t step) const;
  Mark best_with(std::int64_t step, std::optional<double> metric) const;
  void note_progress(std::int64_t step, const Mark& best);
  void start(std::int64_t step, std::optional<double> metric, bool in_background);
  bool take_over(std::int64_t step, ResumeInfo& resumed, const LoadOptions& options);

  std::filesystem::path folder_;
  CheckpointManagerOptions options_;
  Checkpoint checkpoint_;
  Mark best_, best_before_;           ///< best_before_: the value before the current save
  std::vector<std::int64_t> broken_;  ///< skipped by resume(): they may be later than the step saved
  std::optional<FolderLock> lock_;
  AsyncCheckpointWriter saving_;  ///< declared after lock_, so that it is destroyed first
};

}  // namespace vg
