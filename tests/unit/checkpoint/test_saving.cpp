// Saving: a file is replaced atomically, leftovers of killed processes are deleted, and background saves are equal to
// other saves.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <cmath>
#include <csignal>
#include <limits>
#include <mutex>

#include "support/checkpoint_run.hpp"
#include "support/plain_user.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/finite.hpp"
#include "voxgrad/framework/checkpoint/checkpoint_manager.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"
#include "voxgrad/optim/rules/adam.hpp"

using Catch::Matchers::Contains;
using namespace vg::test;
namespace fs = std::filesystem;

namespace {

// The process id of a child that has ended.
pid_t dead_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

}  // namespace

TEST_CASE("atomic file: two writers of one file are independent, and readers see complete files only", "[saving]") {
  const TempDir folder;
  const auto path = folder.write("a.txt", "old");
  {
    vg::AtomicFile first("[test]", path), second("[test]", path);
    first.put("first");
    second.put("second");
    CHECK(folder.names().size() == 3);
    CHECK(read_bytes(path) == "old");
    second.commit();
    CHECK(read_bytes(path) == "second");
    first.commit();
  }
  CHECK(read_bytes(path) == "first");
  CHECK(folder.names() == std::vector<std::string>{"a.txt"});
}

TEST_CASE("atomic file: files can be written into a folder that cannot be read", "[saving]") {
  const TempDir folder;
  fs::permissions(folder.path(), fs::perms::owner_write | fs::perms::owner_exec);
  {
    const PlainUser plain;
    REQUIRE_THROWS_AS(fs::directory_iterator(folder.path()), fs::filesystem_error);
    vg::AtomicFile file("[test]", folder / "a.txt");
    file.put("text");
    file.commit();
  }
  fs::permissions(folder.path(), fs::perms::owner_all);
  CHECK(read_bytes(folder / "a.txt") == "text");
}

TEST_CASE("sweep: leftovers of a killed process are deleted, files in use are not", "[saving]") {
  const TempDir folder;
  const std::string dead = std::to_string(dead_process()), own = std::to_string(::getpid());
  // This process's own id: in a container each run has the same one.
  folder.write("m.json." + dead + "-0.tmp", "half");
  folder.write("m.json." + own + "-999999.tmp", "half");
  folder.write("m.json." + dead + "-0.txt", "no temporary of ours");
  folder.write("m.json.x-0.tmp", "no process");
  folder.write("m.json.-0.tmp", "no process");
  folder.write("m.json." + dead + "-.tmp", "no count");
  folder.write("m.json.99999999999999999999-0.tmp", "no process");
  folder.write("other.json." + dead + "-0.tmp", "another file's");
  fs::create_symlink("other.json", folder / ("m.json." + dead + "-1.tmp"));
  fs::create_directory(folder / ("m.json." + dead + "-2.tmp"));
  vg::AtomicFile writing("[test]", folder / "m.json");
  const std::size_t before = folder.names().size();
  CHECK(vg::sweep_temporaries(folder.path(), "m.json.") == 2);
  CHECK(folder.names().size() == before - 2);
  CHECK_FALSE(fs::exists(folder / ("m.json." + dead + "-0.tmp")));
  CHECK_FALSE(fs::exists(folder / ("m.json." + own + "-999999.tmp")));
  CHECK(vg::sweep_temporaries(folder.path(), "m.json.") == 0);
  writing.put("whole");
  writing.commit();
  CHECK(read_bytes(folder / "m.json") == "whole");
  CHECK(vg::sweep_temporaries(folder.path()) == 1);  // that of the other file
  CHECK(vg::sweep_temporaries(folder / "none") == 0);
}

TEST_CASE("sweep: a living process's temporary stays until it is killed", "[saving]") {
  const TempDir folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {  // the child does only this; it is killed while it writes
    vg::AtomicFile file("[test]", folder / "m.json");
    file.put("half");
    const bool told = ::write(ready[1], "x", 1) == 1;
    while (told) ::pause();
    ::_exit(1);
  }
  char c = 0;
  REQUIRE(::read(ready[0], &c, 1) == 1);
  CHECK(vg::sweep_temporaries(folder.path()) == 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(folder.names().size() == 1);
  Holder model(vg::Tensor::ones({3}));
  vg::save(model, folder / "m.json");  // each save deletes the leftovers of its own file
  CHECK(folder.names() == std::vector<std::string>{"m.json"});
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("checkpoint: a read-only folder is an error, and the old file stays", "[saving]") {
  const TempDir folder;
  Holder model(vg::Tensor::ones({3}));
  vg::save(model, folder / "m.json");
  const std::string old = read_bytes(folder / "m.json");
  fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
  const std::string said = message([&] {
    const PlainUser plain;
    vg::save(model, folder / "m.json");
  });
  fs::permissions(folder.path(), fs::perms::owner_all);
  CHECK_THAT(said, Contains("IoError [checkpoint] save: cannot write ") && Contains("m.json: Permission denied"));
  CHECK(read_bytes(folder / "m.json") == old);
  vg::save(model, folder / "m.json");
}

TEST_CASE("background save: the file is the checkpoint of the moment of the call", "[saving]") {
  const TempDir folder;
  Net model(2, 50);
  vg::AdamW optimizer(model.parameters(), {.lr = 0.1});
  vg::Checkpoint checkpoint;
  checkpoint.model(model).optimizer(optimizer).progress = {{"step", 1}};
  const auto train = [&] {
    for (const auto& [path, state] : model.parameters())
      for (const std::string& leaf : state.leaves()) {
        vg::State s = state;
        s.set_grad(leaf, vg::Variable(vg::Tensor::ones(state[leaf].shape(), state[leaf].dtype())));
      }
    optimizer.step();
  };
  train();
  vg::AsyncCheckpointWriter saving;
  for (int i = 0; i < 20; ++i) {
    checkpoint.save(folder / "now.json");
    saving.save(checkpoint, folder / "background.json");
    train();  // while the thread copies and writes
    model.a.stats.set("mean", vg::Tensor::full({}, i));
    saving.wait();
    CHECK_FALSE(saving.busy());
    REQUIRE(read_bytes(folder / "background.json") == read_bytes(folder / "now.json"));
  }
}

TEST_CASE("background save: the next call throws the error once, and training continues", "[saving]") {
  const TempDir folder;
  Holder model(vg::Tensor::ones({3}));
  vg::Checkpoint checkpoint;
  checkpoint.model(model);
  vg::AsyncCheckpointWriter saving;
  saving.wait();  // returns at once
  saving.save(checkpoint, folder / "none/m.json");
  CHECK_THAT(message([&] { saving.save(checkpoint, folder / "m.json"); }),
             Contains("IoError [checkpoint] save: cannot write ") && Contains("none/m.json"));
  CHECK(folder.names().empty());
  saving.wait();
  saving.save(checkpoint, folder / "m.json");
  saving.wait();
  CHECK(folder.names() == std::vector<std::string>{"m.json"});
  saving.save(checkpoint, folder / "none/m.json");
  CHECK_THAT(message([&] { saving.wait(); }), Contains("none/m.json"));
  checkpoint.progress = {{"bad", std::string("\xff")}};
  saving.save(checkpoint, folder / "m.json");
  CHECK_THAT(message([&] { saving.wait(); }), Contains("ValueError [checkpoint] save: ") && Contains("UTF-8"));
}

TEST_CASE("background save: only one at a time, and the destructor waits", "[saving]") {
  std::mutex held;
  std::unique_lock hold(held);
  std::vector<int> order;
  {
    vg::AsyncCheckpointWriter saving;
    saving.run([&] {
      const std::lock_guard wait(held);
      order.push_back(1);
    });
    CHECK(saving.busy());
    hold.unlock();
    saving.run([&] { order.push_back(2); });  // lets the first one finish
    CHECK_NOTHROW(saving.wait());
    saving.run([&] {
      order.push_back(3);
      throw vg::IoError("nobody asks for this one");
    });
  }
  CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("finite: the first NaN or infinity and its position", "[saving]") {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  vg::Tensor t = vg::Tensor::full({3, 50, 70}, 3e38);
  CHECK_FALSE(vg::find_non_finite(t));
  t.data<float>()[9000] = static_cast<float>(-inf);
  t.data<float>()[9001] = static_cast<float>(nan);
  CHECK(vg::find_non_finite(t) == 9000);
  CHECK(vg::find_non_finite(t, false) == 9001);
  CHECK(vg::describe_non_finite(t, 9000) == "-inf at (2, 28, 40) of f32 (3, 50, 70)");
  CHECK(vg::describe_non_finite(t, 9001) == "nan at (2, 28, 41) of f32 (3, 50, 70)");
  for (std::int64_t n = 1; n < 40; ++n)
    for (std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
      vg::Tensor x = vg::Tensor::full({n}, -1e308, vg::f64);
      CHECK_FALSE(vg::find_non_finite(x));
      x.data<double>()[at] = inf;
      CHECK(vg::find_non_finite(x) == at);
    }
  CHECK_FALSE(vg::find_non_finite(vg::Tensor()));
  CHECK_FALSE(vg::find_non_finite(vg::Tensor::zeros({0})));
  CHECK_FALSE(vg::find_non_finite(vg::Tensor::ones({2}, vg::i32)));
  CHECK(vg::describe_non_finite(vg::Tensor::scalar(nan), 0) == "nan at () of f32 ()");
}
