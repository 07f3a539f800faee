// CheckpointManager: which checkpoints are kept, from which one a run continues, and the messages about the others.
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <optional>

#include "support/checkpoint_run.hpp"
#include "support/plain_user.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/finite.hpp"
#include "voxgrad/framework/checkpoint/checkpoint_manager.hpp"

using Catch::Matchers::Contains, Catch::Matchers::EndsWith, Catch::Matchers::StartsWith;
using namespace vg::test;
namespace fs = std::filesystem;
using Steps = std::vector<std::int64_t>;

namespace {

// A run with one part, whose state is its step.
struct Run {
  Part part;
  vg::CheckpointManager folder;
  explicit Run(const fs::path& path, vg::CheckpointManagerOptions options = {}) : folder(path, options) {
    folder.checkpoint().part("run", part);
  }
  void save(std::int64_t step, std::optional<double> metric = {}) {
    part.step = step;
    folder.save(step, metric);
  }
};

std::string best_of(const TempDir& folder) { return fs::read_symlink(folder / "run/best.json").string(); }

}  // namespace

TEST_CASE("checkpoint folder: an empty folder is a fresh start", "[checkpoint_manager]") {
  const TempDir folder;
  Run run(folder / "a/b");
  const vg::ResumeInfo resumed = run.folder.resume();
  CHECK_FALSE(resumed);
  CHECK(resumed.step == 0);
  CHECK(resumed.skipped.empty());
  CHECK(fs::is_directory(folder / "a/b"));  // so that a missing permission is found before the training
  CHECK(run.folder.steps().empty());
  run.save(3);
  CHECK(run.folder.steps() == Steps{3});
  CHECK(fs::exists(folder / "a/b/step-000000003.json"));
}

TEST_CASE("checkpoint folder: the last ones and the best are kept", "[checkpoint_manager]") {
  const TempDir folder;
  std::optional<Run> run(std::in_place, folder / "run",
                         vg::CheckpointManagerOptions{.keep_last = 2, .best = vg::Best::highest});
  const double nan = std::nan("");
  const std::vector<std::optional<double>> metrics = {0.5, 0.7, nan, 0.7, {}, 0.6, 0.9, 0.1};
  const std::vector<Steps> kept = {{1}, {1, 2}, {2, 3}, {2, 3, 4}, {2, 4, 5}, {2, 5, 6}, {6, 7}, {7, 8}};
  for (std::int64_t step = 1; step <= 8; ++step) {
    const auto i = static_cast<std::size_t>(step - 1);
    run->save(step, metrics[i]);
    CHECK(run->folder.steps() == kept[i]);
  }
  CHECK(run->folder.best_step() == 7);
  CHECK(best_of(folder) == "step-000000007.json");
  run.reset();

  // The best checkpoint is part of the resumed state.
  Run again(folder / "run", {.keep_last = 2, .best = vg::Best::highest});
  CHECK(again.folder.resume().step == 8);
  CHECK(again.part.step == 8);
  CHECK(again.folder.best_step() == 7);
  again.save(9, 0.8);
  CHECK(again.folder.steps() == Steps{7, 8, 9});
  CHECK(again.folder.checkpoint().value<double>("best_metric") == 0.9);
}

TEST_CASE("checkpoint folder: the lowest metric, and no best", "[checkpoint_manager]") {
  const TempDir folder;
  Run run(folder / "run", {.keep_last = 1, .best = vg::Best::lowest});
  run.save(1, 2.0);
  run.save(2, 1.0);
  run.save(1000000000000, 3.0);
  CHECK(run.folder.steps() == Steps{2, 1000000000000});
  CHECK(best_of(folder) == "step-000000002.json");
  Run plain(folder / "plain", {.keep_last = 1});
  plain.save(1, 2.0);
  plain.save(2, 1.0);
  CHECK(plain.folder.steps() == Steps{2});
  CHECK_FALSE(fs::exists(folder / "plain/best.json"));
  CHECK_THROWS_AS(Run(folder / "x", {.keep_last = 0}), vg::ValueError);
}

TEST_CASE("checkpoint folder: the newest that can be read, and why not the others", "[checkpoint_manager]") {
  const TempDir folder;
  std::optional<Run> run(std::in_place, folder / "run", vg::CheckpointManagerOptions{.keep_last = 4});
  for (std::int64_t step : {10, 20, 30, 40}) run->save(step);
  const std::string whole = read_bytes(run->folder.path_of(40));
  folder.write("run/step-000000040.json", whole.substr(0, whole.size() / 2));
  folder.write("run/step-000000030.json", read_bytes(run->folder.path_of(10)));
  folder.write("run/step-40.json", "a copy of somebody's");
  run.reset();

  Run again(folder / "run", {.keep_last = 4});
  const vg::ResumeInfo resumed = again.folder.resume();
  CHECK(resumed.step == 20);
  CHECK(again.part.step == 20);
  CHECK(resumed.path == again.folder.path_of(20));
  REQUIRE(resumed.skipped.size() == 2);
  CHECK(resumed.skipped[0].path == again.folder.path_of(40));
  CHECK_THAT(resumed.skipped[0].why, Contains("step-000000040.json: line "));
  CHECK_THAT(resumed.skipped[1].why, Contains("step-000000030.json is the checkpoint of step 10"));

  SECTION("the broken ones go with the next save") {
    again.save(25);
    CHECK(again.folder.steps() == Steps{10, 20, 25});
    CHECK(fs::exists(folder / "run/step-40.json"));
  }
  SECTION("when none can be read that is an error, not a fresh start") {
    folder.write("run/step-000000010.json", "");
    folder.write("run/step-000000020.json", "{}");
    CHECK_THAT(message([&] { again.folder.resume(); }),
               Contains("IoError [CheckpointManager] resume: none of the 4 checkpoints of ") &&
                   Contains("step-000000020.json") && Contains("step-000000010.json"));
  }
  SECTION("one that does not fit is not passed over") {
    again.folder.clear();
    again.part.step = -1;  // its check refuses this value
    again.folder.save(50);
    again.part.step = 7;
    CHECK_THAT(message([&] { again.folder.resume(); }), Contains("ValueError") && Contains("got a negative one"));
    CHECK(again.part.step == 7);
  }
}

TEST_CASE("checkpoint folder: runs are not mixed", "[checkpoint_manager]") {
  const TempDir folder;
  std::optional<Run> old(std::in_place, folder / "run");
  old->save(100);
  old.reset();
  Run fresh(folder / "run");
  CHECK_THAT(message([&] { fresh.save(50); }), Contains("ValueError [CheckpointManager] save: step: got 50; ") &&
                                                   Contains("holds step 100: resume() that run or clear() it first"));
  CHECK_THAT(message([&] { fresh.save(0); }), Contains("step: got 0; must be at least 1"));
  CHECK(fresh.folder.steps() == Steps{100});
  fresh.folder.clear();
  CHECK(fresh.folder.steps().empty());
  fresh.save(50);
  fresh.save(50);  // the same step again
  CHECK(fresh.folder.steps() == Steps{50});
}

TEST_CASE("checkpoint folder: in the background", "[checkpoint_manager]") {
  const TempDir folder;
  std::optional<Run> run(std::in_place, folder / "run",
                         vg::CheckpointManagerOptions{.keep_last = 1, .best = vg::Best::highest});
  for (std::int64_t step = 1; step <= 10; ++step) {
    run->part.step = step;
    run->folder.save_in_background(step, step == 4 ? 1.0 : 0.5);
    run->part.step = -1;
  }
  run->folder.wait();
  CHECK(run->folder.steps() == Steps{4, 10});
  run.reset();
  Run again(folder / "run");
  CHECK(again.folder.resume().step == 10);
  CHECK(again.part.step == 10);
}

TEST_CASE("checkpoint folder: a save that fails keeps the old checkpoints", "[checkpoint_manager]") {
  const TempDir folder;
  Run run(folder / "run", {.keep_last = 1, .best = vg::Best::highest});
  run.save(1, 0.5);
  fs::create_directory(run.folder.path_of(2));
  const bool background = GENERATE(false, true);
  const std::string said = message([&] {
    if (!background) return run.save(2, 0.9);
    run.folder.save_in_background(2, 0.9);
    run.folder.wait();
  });
  fs::remove(run.folder.path_of(2));
  CHECK_THAT(said, Contains("IoError [checkpoint] save: cannot write ") && Contains("step-000000002.json"));
  CHECK(run.folder.steps() == Steps{1});
  CHECK(run.folder.best_step() == 1);
  run.save(3, 0.7);
  CHECK(run.folder.steps() == Steps{3});
  CHECK(run.folder.best_step() == 3);
}

TEST_CASE("checkpoint folder: a model that is not finite is not saved", "[checkpoint_manager]") {
  const TempDir folder;
  Holder model(vg::Tensor::ones({2, 3}));
  std::optional<vg::CheckpointManager> run(std::in_place, folder / "run");
  run->checkpoint().model(model);
  run->save(1);
  model.state.writable("value").data<float>()[4] = std::numeric_limits<float>::infinity();
  CHECK_THROWS_AS(run->save(2), vg::NonFiniteError);
  run->save_in_background(2);
  CHECK_THAT(
      message([&] { run->wait(); }),
      Contains("ValueError [checkpoint] save: the model's state, leaf value, holds inf at (1, 1) of f32 (2, 3)"));
  CHECK(run->steps() == Steps{1});
  run.reset();
  vg::CheckpointManager any(folder / "run", {.require_finite = false});
  any.checkpoint().model(model);
  any.save(2);
  CHECK(any.steps() == Steps{1, 2});
}

TEST_CASE("checkpoint folder: a kill between a save and its deletions", "[checkpoint_manager]") {
  const TempDir folder;
  std::optional<Run> run(std::in_place, folder / "run", vg::CheckpointManagerOptions{.keep_last = 3});
  for (std::int64_t step = 1; step <= 3; ++step) run->save(step);
  run.reset();
  Run at_its_end(folder / "run", {.keep_last = 2});  // a kill has prevented the last save from removing the first one
  CHECK(at_its_end.folder.resume().step == 3);
  CHECK(at_its_end.folder.steps() == Steps{2, 3});
}

TEST_CASE("checkpoint folder: leftovers of killed processes are deleted", "[checkpoint_manager]") {
  const TempDir folder;
  Run run(folder / "run");
  run.save(1);
  folder.write("run/step-000000002.json." + std::to_string(::getpid()) + "-99999.tmp", "half");
  run.folder.resume();
  CHECK(std::distance(fs::directory_iterator(folder / "run"), fs::directory_iterator{}) == 2);
  CHECK(fs::exists(folder / "run/run.lock"));  // the run's own
}

TEST_CASE("checkpoint folder: missing permissions are reported, and nothing is lost", "[checkpoint_manager]") {
  const TempDir folder;
  Run run(folder / "run"), below(folder / "run/none/deep");
  run.save(1);
  const auto as_plain_user = [&](fs::perms allowed, const auto& f) {
    fs::permissions(folder / "run", allowed);
    const std::string said = message([&] {
      const PlainUser plain;
      f();
    });
    fs::permissions(folder / "run", fs::perms::owner_all);
    return said;
  };
  const fs::perms write = fs::perms::owner_write, read = fs::perms::owner_read, enter = fs::perms::owner_exec;
  const auto check_refused = [&](const std::string& what, fs::perms allowed, const auto& f) {
    const std::string said = as_plain_user(allowed, f);
    CHECK_THAT(said, StartsWith("IoError [CheckpointManager] " + what) && EndsWith("Permission denied"));
  };
  check_refused("cannot read ", write | enter, [&] { run.folder.steps(); });
  check_refused("cannot read ", write | enter, [&] { run.save(2); });
  check_refused("cannot read ", write | enter, [&] { run.folder.resume(); });
  check_refused("cannot make the folder ", read | enter, [&] { below.save(1); });
  check_refused("clear: cannot remove ", read | enter, [&] { run.folder.clear(); });
  fs::permissions(run.folder.path_of(1), fs::perms::none);
  CHECK_THAT(as_plain_user(fs::perms::owner_all, [&] { run.folder.resume(); }),
             Contains("none of the 1 checkpoints") && EndsWith("step-000000001.json: Permission denied"));
  fs::permissions(run.folder.path_of(1), read | write);
  CHECK(run.folder.resume().step == 1);
}
