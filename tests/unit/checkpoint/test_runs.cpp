// Runs: the default contents of a checkpoint, the lock of a run's folder, and the messages of a resumed run.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <csignal>
#include <functional>
#include <limits>
#include <thread>

#include "support/checkpoint_run.hpp"
#include "support/plain_user.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/finite.hpp"
#include "voxgrad/framework/checkpoint/checkpoint_manager.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

using Catch::Matchers::Contains;
using namespace vg::test;
namespace fs = std::filesystem;

namespace {

// A net whose loss depends on the default generator, because its Dropout has no seed.
struct Dropping {
  vg::Sequential model{vg::Linear({.in_size = {4}, .out_features = 16}), vg::Dropout(),
                       vg::Linear({.out_features = 1})};
  vg::SGD optimizer{model.parameters(), {.lr = 0.01}};
  double step() {
    model.train();
    const vg::Variable loss = vg::mean(vg::square(model(vg::Tensor::ones({2, 4}))));
    loss.backward();
    optimizer.step();
    optimizer.zero_grad();
    return loss.item();
  }
};

}  // namespace

TEST_CASE("checkpoint folder: its snippet resumes to the same bits with Dropout", "[runs]") {
  const TempDir folder;
  vg::random::seed(5);
  double expected = 0;
  {
    Dropping run;
    vg::CheckpointManager kept(folder / "run");
    kept.checkpoint().model(run.model).optimizer(run.optimizer);
    for (int step = 1; step <= 6; ++step) {
      expected = run.step();
      if (step == 3) kept.save(step);
    }
  }
  vg::random::seed(77);
  Dropping run;
  vg::CheckpointManager kept(folder / "run");
  kept.checkpoint().model(run.model).optimizer(run.optimizer);
  double loss = 0;
  for (std::int64_t step = kept.resume().step + 1; step <= 6; ++step) loss = run.step();
  CHECK(loss == expected);
}

TEST_CASE("checkpoint: the default generator of the thread that saves and loads", "[runs]") {
  const TempDir folder;
  Holder model(vg::Tensor::ones({2}));
  vg::random::Generator one(1), two(2);
  {
    const vg::random::GeneratorGuard scope(one);
    vg::Checkpoint().model(model).save(folder / "m.json");
  }
  const vg::random::GeneratorGuard scope(two);
  CHECK(vg::Checkpoint().model(model).load(folder / "m.json").complete());
  CHECK(two.key() == one.key());

  SECTION("another one, where it is named") {
    vg::random::Generator named(3);
    vg::Checkpoint().model(model).generator(named).save(folder / "m.json");
    two.next();
    const vg::random::Key before = two.key();
    vg::random::Generator back(4);
    vg::Checkpoint().model(model).generator(back).load(folder / "m.json");
    CHECK(back.key() == named.key());
    CHECK(two.key() == before);
  }
  SECTION("a file without one leaves it, and is missed where one was named") {
    vg::save(model, folder / "model.json");
    two.next();
    const vg::random::Key before = two.key();
    CHECK(vg::Checkpoint().model(model).load(folder / "model.json").complete());
    CHECK(two.key() == before);
    vg::random::Generator back(4);
    CHECK_THAT(message([&] { vg::Checkpoint().model(model).generator(back).load(folder / "model.json"); }),
               Contains("missing: the file holds no generator"));
  }
  SECTION("a model alone is saved and loaded without it") {
    vg::save(model, folder / "model.json");
    CHECK(read_bytes(folder / "model.json").find("generator") == std::string::npos);
    two.next();
    const vg::random::Key before = two.key();
    vg::load(model, folder / "m.json");
    CHECK(two.key() == before);
  }
}

TEST_CASE("checkpoint: saving no parts is refused", "[runs]") {
  const TempDir folder;
  vg::CheckpointManager run(folder / "run");
  CHECK_THAT(message([&] { run.save(1); }), Contains("nothing to save"));
  CHECK(run.steps().empty());
  CHECK_THAT(message([&] { vg::Checkpoint().save(folder / "m.json"); }),
             Contains("ValueError [checkpoint] save: ") && Contains("nothing to save"));
  CHECK_FALSE(fs::exists(folder / "m.json"));
}

TEST_CASE("checkpoint: NaN in a model is refused", "[runs]") {
  const TempDir folder;
  vg::Tensor t = vg::Tensor::ones({2, 3}, GENERATE(vg::f32, vg::f64));
  vg::dispatch_float("test", t.dtype(), [&](auto zero) { t.data<decltype(zero)>()[4] = std::nanf(""); });
  Holder model(t);
  CHECK_THAT(message([&] { vg::save(model, folder / "m.json"); }),
             Contains("ValueError [checkpoint] save: the model's state, leaf value, holds nan at (1, 1) of f"));
  CHECK(folder.names().empty());
  vg::save(model, folder / "m.json", {.allow_nan = true});
  Holder back(vg::Tensor::zeros({2, 3}, t.dtype()));
  vg::load(back, folder / "m.json");
  CHECK(bits(back) == bits(model));

  SECTION("infinities are saved") {
    Holder infinite(vg::Tensor::full({2}, std::numeric_limits<double>::infinity(), t.dtype()));
    vg::save(infinite, folder / "inf.json");
  }
  SECTION("a folder has its own option") {
    vg::CheckpointManager run(folder / "run", {.require_finite = false});
    run.checkpoint().model(model);
    run.save(1);
    vg::CheckpointManager strict(folder / "strict", {.save = {.allow_nan = true}});
    strict.checkpoint().model(model);
    CHECK_THROWS_AS(strict.save(1), vg::NonFiniteError);
  }
}

TEST_CASE("a background save that failed throws at the next check", "[runs]") {
  const TempDir folder;
  Part part;
  vg::CheckpointManager run(folder / "run");
  run.checkpoint().part("run", part);
  run.check();
  run.save_in_background(1);
  run.wait();
  run.check();
  fs::create_directory(run.path_of(2));
  run.save_in_background(2);
  std::string said;  // a loop of steps that does not wait; one of the checks throws
  while (said.empty() || said == "nothing was thrown") said = message([&] { run.check(); });
  CHECK_THAT(said, Contains("IoError [checkpoint] save: cannot write ") && Contains("step-000000002.json"));
  run.check();  // the error is thrown once only
  fs::remove(run.path_of(2));
  run.save(2);

  vg::AsyncCheckpointWriter saving;
  saving.check();
  saving.run([] { throw vg::IoError("full"); });
  while (saving.busy()) std::this_thread::yield();
  CHECK(message([&] { saving.check(); }) == "IoError full");
  saving.check();
}

TEST_CASE("checkpoint folder: one run at a time", "[runs]") {
  const TempDir folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {  // this run is killed later
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Part part;
    vg::CheckpointManager run(folder / "run");
    run.checkpoint().part("run", part);
    bool told = false;
    try {
      run.save(5);
      told = ::write(ready[1], "x", 1) == 1;
    } catch (...) {
    }
    while (told) ::pause();
    ::_exit(1);
  }
  char c = 0;
  REQUIRE(::read(ready[0], &c, 1) == 1);
  Part part;
  vg::CheckpointManager other(folder / "run");
  other.checkpoint().part("run", part);
  const std::vector<std::function<void()>> uses = {[&] { other.resume(); }, [&] { other.clear(); },
                                                   [&] { other.save(6); }, [&] { other.save_in_background(6); }};
  for (const auto& use : uses)
    CHECK_THAT(message(use), Contains("IoError [CheckpointManager] ") && Contains((folder / "run").string()) &&
                                 Contains("is in use by process " + std::to_string(child)));
  CHECK(other.steps() == std::vector<std::int64_t>{5});
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(other.resume().step == 5);
  other.save(6);
  CHECK(other.steps() == std::vector<std::int64_t>{5, 6});
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("checkpoint folder: two managers of one process cannot share a folder", "[runs]") {
  const TempDir folder;
  Part part;
  vg::CheckpointManager second(folder / "run");
  second.checkpoint().part("run", part);
  {
    vg::CheckpointManager first(folder / "run");
    first.checkpoint().part("run", part);
    first.save(1);
    CHECK_THAT(message([&] { second.save(2); }),
               Contains("is in use by process " + std::to_string(::getpid()) + ", this one"));
  }
  second.save(2);
  CHECK(second.steps() == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("checkpoint folder: a folder that cannot be written to is found at the start", "[runs]") {
  const TempDir folder;
  Part part;
  fs::create_directory(folder / "run");
  fs::permissions(folder / "run", fs::perms::owner_read | fs::perms::owner_exec);
  for (const std::string where : {"run", "run/below"}) {
    vg::CheckpointManager run(folder / where);
    run.checkpoint().part("run", part);
    const PlainUser plain;
    for (const auto& begin :
         {std::function<void()>([&] { run.resume(); }), std::function<void()>([&] { run.clear(); })})
      CHECK_THAT(message(begin), Contains("IoError [CheckpointManager] ") && Contains("Permission denied"));
  }
  fs::permissions(folder / "run", fs::perms::owner_all);
}
