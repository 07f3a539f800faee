// Saving into folders that other users can write to: modes, owners, links and locks; and the limit on file sizes.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <csignal>
#include <functional>
#include <string>

#include "support/checkpoint_run.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/data/nifti.hpp"
#include "voxgrad/framework/formats/npz.hpp"
#include "voxgrad/framework/formats/safetensors.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"

using Catch::Matchers::Contains;
using namespace vg::test;
namespace fs = std::filesystem;

namespace {

constexpr uid_t another = 12345;  // another user; the account need not exist

mode_t mode_of(const fs::path& path) {
  struct stat s {};
  REQUIRE(::lstat(path.c_str(), &s) == 0);
  return s.st_mode & 07777;
}

// Sets the umask in a scope.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

// Whether this process may change the owner of files; only root may.
bool may_give_away() {
  if (::geteuid() == 0) return true;
  WARN("skipped: only root can make files of other users");
  return false;
}

void write(const fs::path& path, const std::string& text) {
  vg::AtomicFile file("[test]", path);
  file.put(text);
  file.commit();
}

// The exit status of work() in a child process, or 128 + the signal that killed it.
int status_of(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 99;
    try {
      status = work();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("atomic file: no other user can read the temporary file", "[saving]") {
  const TempDir folder;
  const Umask mask(0);
  const auto path = folder / "a.txt";
  const bool replaces = GENERATE(false, true);
  if (replaces) {
    folder.write("a.txt", "old");
    fs::permissions(path, static_cast<fs::perms>(0664));
  }
  vg::AtomicFile file("[test]", path);
  file.put("secret");
  for (const std::string& name : folder.names())
    if (name != "a.txt") CHECK(mode_of(folder / name) == 0600);
  file.commit();
  CHECK(mode_of(path) == (replaces ? 0664 : 0666));
}

TEST_CASE("atomic file: a new file has the mode that any new file has", "[saving]") {
  const TempDir folder;
  for (const mode_t mask : {022, 027, 077, 0}) {
    const Umask scope(mask);
    const auto path = folder / std::to_string(mask);
    write(path, "x");
    CHECK(mode_of(path) == (0666 & ~mask));
  }
  CHECK(folder.names().size() == 4);
}

TEST_CASE("atomic file: only the permissions of an old file are kept, and only if it is this user's", "[saving]") {
  const TempDir folder;
  const Umask mask(022);
  const auto path = folder.write("a.txt", "old");
  REQUIRE(::chmod(path.c_str(), 06755) == 0);
  write(path, "new");
  CHECK(mode_of(path) == 0755);

  if (!may_give_away()) return;
  REQUIRE(::chown(path.c_str(), another, another) == 0);
  REQUIRE(::chmod(path.c_str(), 06777) == 0);
  write(path, "newer");
  CHECK(read_bytes(path) == "newer");
  CHECK(mode_of(path) == 0644);
}

TEST_CASE("atomic file: another user's link in a sticky folder is not followed", "[saving]") {
  const TempDir folder;
  fs::create_directory(folder / "shared");
  REQUIRE(::chmod((folder / "shared").c_str(), 01777) == 0);
  const auto target = folder.write("target", "old");
  const auto link = folder / "shared/link", own = folder / "own";
  fs::create_symlink(target, link);
  fs::create_symlink(link, own);
  write(link, "through an own link");
  CHECK(read_bytes(target) == "through an own link");

  if (!may_give_away()) return;
  REQUIRE(::lchown(link.c_str(), another, another) == 0);
  for (const auto& path : {link, own})
    CHECK_THAT(message([&] { write(path, "a trap"); }),
               Contains("IoError [test] cannot write " + path.string() + ": ") &&
                   Contains("link of another user in a sticky folder"));
  CHECK(read_bytes(target) == "through an own link");
  CHECK(fs::is_symlink(link));
  REQUIRE(::chmod((folder / "shared").c_str(), 0777) == 0);
  write(link, "no sticky folder");
  CHECK(read_bytes(target) == "no sticky folder");
}

TEST_CASE("saving: past the limit on the size of files a save is an error, not a signal", "[saving]") {
  const TempDir folder;
  const vg::Tensor large = vg::random::normal({1, 2}, {40, 40, 40});
  Holder model(large);
  const std::vector<std::pair<std::string, std::function<void(const fs::path&)>>> writers = {
      {"checkpoint", [&](const fs::path& p) { vg::save(model, p); }},
      {"safetensors",
       [&](const fs::path& p) {
         vg::write_safetensors(p, {{"a", large}});
       }},
      {"npz",
       [&](const fs::path& p) {
         vg::write_npz(p, {{"a", large}});
       }},
      {"nifti", [&](const fs::path& p) { vg::write_nifti(p.string() + ".nii.gz", {large}); }},
      {"plain nifti", [&](const fs::path& p) { vg::write_nifti(p.string() + ".nii", {large}); }}};
  for (const auto& [name, save] : writers) {
    INFO(name);
    const int status = status_of([&, &save = save]() {
      ::signal(SIGXFSZ, SIG_DFL);
      const rlimit limit{4096, 4096};
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
      const std::string said = message([&] { save(folder / "file"); });
      if (said.find("IoError") != 0 || said.find("File too large") == said.npos) return 2;
      sigset_t blocked, pending;
      ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
      ::sigpending(&pending);
      if (::sigismember(&blocked, SIGXFSZ) != 0 || ::sigismember(&pending, SIGXFSZ) != 0) return 3;
      return 0;
    });
    CHECK(status == 0);
    CHECK(folder.names().empty());
  }
}
