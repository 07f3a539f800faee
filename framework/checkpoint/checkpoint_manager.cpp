#include "voxgrad/framework/checkpoint/checkpoint_manager.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <limits>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"
#include "voxgrad/framework/system/list_directory.hpp"

namespace vg {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view prefix = "step-", suffix = ".json";
constexpr const char* best_name = "best.json";

std::string name_of_step(std::int64_t step) { return fmt::format("{}{:09}{}", prefix, step, suffix); }

// Accepts only names that name_of_step() makes, so that copies that a user put into the folder are left alone.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return {};
  const char* const begin = name.data() + prefix.size();
  const char* const end = name.data() + name.size() - suffix.size();
  std::int64_t step = 0;
  const auto [stop, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || stop != end || step < 1 || name != name_of_step(step)) return {};
  return step;
}

std::vector<std::int64_t> steps_in(const fs::path& folder) {
  std::vector<std::int64_t> steps;
  int error = 0;
  for (const std::string& name : detail::list_directory(folder, error))
    if (const auto step = step_of(name)) steps.push_back(*step);
  if (error != 0 && error != ENOENT)
    throw IoError(
        fmt::format("[CheckpointManager] cannot read {}: {}", folder.string(), std::generic_category().message(error)));
  std::sort(steps.begin(), steps.end());
  return steps;
}

void sync(const fs::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

// Also makes the parents and flushes each folder to disk: a checkpoint is only as durable as the folder that holds it.
void make(const fs::path& folder) {
  std::error_code error;
  if (folder.empty() || fs::is_directory(folder, error)) return;
  make(folder.parent_path());
  if (fs::create_directory(folder, error); error)
    throw IoError(fmt::format("[CheckpointManager] cannot make the folder {}: {}", folder.string(), error.message()));
  sync(folder.parent_path());
}

// Best effort, because a file system may not support links.
void link_best(const fs::path& folder, std::int64_t best) {
  std::error_code error;
  const fs::path link = folder / best_name, target = name_of_step(best);
  if (fs::read_symlink(link, error) == target) return;
  if (!fs::exists(folder / target, error)) return;
  if (fs::exists(fs::symlink_status(link, error)) && !fs::is_symlink(link, error)) return;  // a user's file
  fs::remove(link, error);
  fs::create_symlink(target, link, error);
}

void settle(const fs::path& folder, std::int64_t step, std::int64_t best, int keep_last) {
  if (best > 0) link_best(folder, best);
  std::vector<std::int64_t> steps = steps_in(folder);
  std::error_code error;
  int kept = 0;
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    const bool last = *it <= step && kept < keep_last;
    kept += last;
    if (!last && *it != best) fs::remove(folder / name_of_step(*it), error);
  }
  sweep_temporaries(folder, prefix);
}

// Deletes the files that are not kept, once the checkpoint of `step` is safe. Errors are ignored, because the save has
// succeeded; remaining files are deleted after the next save.
void try_settle(const fs::path& folder, std::int64_t step, std::int64_t best, int keep_last) noexcept {
  try {
    settle(folder, step, best, keep_last);
  } catch (...) {
  }
}

std::string listed(const std::vector<ResumeInfo::Skipped>& skipped) {
  std::string text;
  for (const auto& s : skipped) text += fmt::format("\n  {}", s.why);
  return text;
}

void set(Attributes& values, std::string_view name, Value value) {
  for (auto& [key, v] : values)
    if (key == name) {
      v = std::move(value);
      return;
    }
  values.emplace_back(name, std::move(value));
}

template <class T>
std::optional<T> entry(const Attributes& values, std::string_view name) {
  for (const auto& [key, v] : values)
    if (key == name && std::holds_alternative<T>(v)) return std::get<T>(v);
  return {};
}

// A new thread inherits the signal mask of its creator. With all signals blocked, they stay with the program's own
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
  try {
    saving_ = std::async(std::launch::async, [work = std::move(work)]() mutable {
      const auto once = std::move(work);  // frees the captures before busy() turns false
      once();
    });
  } catch (const std::system_error& e) {
    throw IoError(fmt::format("[AsyncCheckpointWriter] no thread could be started: {}", e.what()));
  }
}

bool AsyncCheckpointWriter::busy() const {
  return saving_.valid() && saving_.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}

CheckpointManager::CheckpointManager(fs::path folder, CheckpointManagerOptions options)
    : folder_(std::move(folder)), options_(options) {
  if (options_.keep_last < 1)
    throw ValueError(fmt::format("[CheckpointManager] keep_last: got {}; must be at least 1", options_.keep_last));
}

fs::path CheckpointManager::path_of(std::int64_t step) const { return folder_ / name_of_step(step); }
std::vector<std::int64_t> CheckpointManager::steps() const { return steps_in(folder_); }

void CheckpointManager::take_folder() {
  if (lock_) return;
  make(folder_);
  lock_.emplace(folder_.empty() ? fs::path(".") : folder_);
}

bool CheckpointManager::take_over(std::int64_t step, ResumeInfo& resumed, const LoadOptions& options) {
  const fs::path path = path_of(step);
  try {
    checkpoint_.load(path, options);
    const auto told = entry<std::int64_t>(checkpoint_.progress, "step");
    if (told != step)
      throw IoError(fmt::format("[CheckpointManager] resume: {} is the checkpoint of {}", path.string(),
                                told ? fmt::format("step {}", *told) : "no step"));
  } catch (const IoError& e) {
    resumed.skipped.push_back({path, e.what()});
    return false;
  }
  resumed.step = step;
  resumed.path = path;
  return true;
}

ResumeInfo CheckpointManager::resume(const LoadOptions& options) {
  wait();
  take_folder();
  const std::vector<std::int64_t> found = steps_in(folder_);
  ResumeInfo resumed;
  for (auto it = found.rbegin(); it != found.rend() && !resumed; ++it) take_over(*it, resumed, options);
  if (!resumed && !found.empty())
    throw IoError(fmt::format("[CheckpointManager] resume: none of the {} checkpoints of {} can be read:{}",
                              found.size(), folder_.string(), listed(resumed.skipped)));
  broken_.clear();
  for (const auto& s : resumed.skipped) broken_.push_back(*step_of(s.path.filename().string()));
  best_ = {entry<std::int64_t>(checkpoint_.progress, "best_step").value_or(0),
           entry<double>(checkpoint_.progress, "best_metric").value_or(0)};
  if (!options_.best || !resumed) best_ = {};
  best_before_ = best_;
  // The run may have been killed between a save and its deletions, and a run that had finished saves no more, so delete
  // now. If newer files could not be read, they and all older ones stay until there is a newer checkpoint.
  if (resumed && resumed.skipped.empty())
    try_settle(folder_, resumed.step, best_.step, options_.keep_last);
  else if (resumed && best_.step > 0)
    link_best(folder_, best_.step);
  sweep_temporaries(folder_, prefix);
  return resumed;
}

void CheckpointManager::check_step(std::int64_t step) const {
  if (step < 1) throw ValueError(fmt::format("[CheckpointManager] save: step: got {}; must be at least 1", step));
  for (const std::int64_t there : steps_in(folder_))
    if (there > step && std::find(broken_.begin(), broken_.end(), there) == broken_.end())
      throw ValueError(
          fmt::format("[CheckpointManager] save: step: got {}; {} holds step {}: resume() that run or clear() it first",
                      step, folder_.string(), there));
}

CheckpointManager::Mark CheckpointManager::best_with(std::int64_t step, std::optional<double> metric) const {
  if (!options_.best || !metric || std::isnan(*metric)) return best_;
  const bool better = options_.best == Best::highest ? *metric > best_.metric : *metric < best_.metric;
  return best_.step == 0 || better ? Mark{step, *metric} : best_;
}

void CheckpointManager::note_progress(std::int64_t step, const Mark& best) {
  set(checkpoint_.progress, "step", step);
  if (best.step == 0) return;
  set(checkpoint_.progress, "best_step", best.step);
  set(checkpoint_.progress, "best_metric", best.metric);
}

void CheckpointManager::start(std::int64_t step, std::optional<double> metric, bool in_background) {
  wait();
  check_step(step);
  take_folder();
  const Mark best = best_with(step, metric);
  note_progress(step, best);
  auto snapshot = std::make_shared<Snapshot>(checkpoint_.snapshot());
  CheckpointManagerOptions options = options_;
  options.save.allow_nan = true;  // require_finite is checked in `work`
  auto work = [snapshot, in_background, step, best, folder = folder_, path = path_of(step), options] {
    if (in_background) snapshot->detach();
    if (options.require_finite) snapshot->require_finite();
    make(folder);
    snapshot->save(path, options.save);
    try_settle(folder, step, best.step, options.keep_last);
  };
  snapshot = nullptr;
  if (in_background)
    saving_.run(std::move(work));
  else
    work();
  best_before_ = std::exchange(best_, best);
}

void CheckpointManager::save(std::int64_t step, std::optional<double> metric) { start(step, metric, false); }
void CheckpointManager::save_in_background(std::int64_t step, std::optional<double> metric) {
  start(step, metric, true);
}

void CheckpointManager::check() {
  if (!saving_.busy()) wait();
}

void CheckpointManager::wait() {
  try {
    saving_.wait();
  } catch (...) {
    best_ = best_before_;  // the save of the new best file failed
    throw;
  }
  best_before_ = best_;
}

void CheckpointManager::clear() {
  wait();
  take_folder();
  std::error_code error;
  for (const std::int64_t step : steps_in(folder_))
    if (fs::remove(path_of(step), error); error)
      throw IoError(
          fmt::format("[CheckpointManager] clear: cannot remove {}: {}", path_of(step).string(), error.message()));
  if (fs::is_symlink(folder_ / best_name, error)) fs::remove(folder_ / best_name, error);
  sweep_temporaries(folder_, prefix);
  best_ = best_before_ = {};
  broken_.clear();
}

}  // namespace vg
