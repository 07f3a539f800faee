// CheckpointManager: a run's checkpoints in a folder of their own: the last few, the best, and a way back after
// anything.
//
//   vg::CheckpointManager run("output/checkpoints", {.keep_last = 3, .best = vg::Best::highest});
//   run.checkpoint().model(model).optimizer(optimizer).part("loader", loader);
//   const vg::ResumeInfo resumed = run.resume();     // the newest that can be read; step 0 when there is none
//   for (std::int64_t step = resumed.step + 1; step <= steps; ++step) {
//     ...
//     if (step % 100 == 0) run.save_in_background(step, dice);
//     run.check();                                // throws what a save in the background has met
//   }
//   run.wait();                                   // throws what went wrong with the last one
//
// The default random generator (Dropout's) belongs to the checkpoint without being named. The folder is this object's
// alone from its first use on: a second run with the same folder is refused (framework/system/folder_lock.hpp).
//
// The files are step-000000100.json and so on; best.json is a link to the best. Nothing in them comes from the clock: a
// run that was killed and resumed leaves the same files, byte for byte, as one that was not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "voxgrad/framework/checkpoint/async_checkpoint_writer.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/system/folder_lock.hpp"

namespace vg {

/// Which value of a run's metric is the best one.
enum class Best { highest, lowest };

struct CheckpointManagerOptions {
  int keep_last = 2;           ///< at least 1
  std::optional<Best> best{};  ///< also keep the one that was saved with the best metric
  /// Refuse to save a model that holds a NaN or an infinity, so that the newest checkpoint is one to go on from.
  bool require_finite = true;
  SaveOptions save{};  ///< how the files are written; allow_nan is not used
};

/// What CheckpointManager::resume() found.
struct ResumeInfo {
  struct Skipped {
    std::filesystem::path path;
    std::string why;
  };
  std::int64_t step = 0;         ///< that the run goes on after; 0: there was no checkpoint, a fresh start
  std::filesystem::path path;    ///< the file that was loaded; empty for a fresh start
  std::vector<Skipped> skipped;  ///< newer ones that could not be read, the newest first
  explicit operator bool() const { return !path.empty(); }
};

/// resume(), save() and clear() make the folder where there is none, try that it can be written to, and hold it until
/// this object ends: IoError where that is not possible or another run holds it, naming its process. steps() and
/// path_of() only look; to take a model out of a run that goes on, vg::load(model, run.path_of(step)).
class CheckpointManager {
 public:
  /// Touches nothing yet. Throws ValueError for keep_last below 1.
  explicit CheckpointManager(std::filesystem::path folder, CheckpointManagerOptions options = {});

  /// What belongs to the run. Its `progress` gets the entries "step" and, with a best one, "best_step" and
  /// "best_metric".
  Checkpoint& checkpoint() { return checkpoint_; }

  /// Loads the newest checkpoint that can be read, and clears away what killed processes left: temporaries and, where
  /// the newest of all was read, what its save would have removed. Throws IoError, listing
  /// why, when there are checkpoints and none can be read, and ValueError, having changed nothing, when the newest that
  /// can be read does not fit this run.
  ResumeInfo resume(const LoadOptions& options = {});
  /// Saves and then removes what is not to be kept. `metric` says how good the run is now; a NaN is never the best.
  /// Throws, with the older checkpoints all there, IoError when the file cannot be written, NonFiniteError (see
  /// require_finite), ValueError for a step below 1 or one below a checkpoint of the folder: those of another run are
  /// not mixed with this one's, so resume() or clear() first.
  void save(std::int64_t step, std::optional<double> metric = {});
  /// The same on another thread, from a snapshot. Waits for the save before, whose error it throws.
  void save_in_background(std::int64_t step, std::optional<double> metric = {});
  /// Throws what a save in the background has thrown, once; waits for nothing. For each step of a loop: it costs a load
  /// from memory where there is nothing to say.
  void check();
  /// Waits for a save in the background; throws what it threw, once.
  void wait();
  /// Removes all checkpoints of the folder.
  void clear();

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path path_of(std::int64_t step) const;
  /// The steps of the checkpoints that are there, rising.
  std::vector<std::int64_t> steps() const;
  /// The step saved with the best metric so far; 0: none.
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
  Mark best_, best_before_;           ///< best_before_: as it was before the save under way
  std::vector<std::int64_t> broken_;  ///< skipped by resume(): may be later than the step saved
  std::optional<FolderLock> lock_;
  AsyncCheckpointWriter saving_;  ///< after lock_: it ends first
};

}  // namespace vg
