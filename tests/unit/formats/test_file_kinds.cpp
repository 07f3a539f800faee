// A reader that gets a file of another kind names that kind.
#include <algorithm>
#include <catch2/catch.hpp>

#include "support/data_file.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/data/nifti.hpp"
#include "voxgrad/framework/formats/formats.hpp"
#include "voxgrad/framework/system/file_signature.hpp"

using namespace vg;
using Catch::Contains;
using vg::test::TempDir;

namespace {

std::string refusal(void (*read)(const std::filesystem::path&), const std::filesystem::path& path) {
  return vg::test::message_of<IoError>([&] { read(path); });
}
void checkpoint_of(const std::filesystem::path& path) { checkpoint::read(path); }
void safetensors_of(const std::filesystem::path& path) { read_safetensors(path); }
void npz_of(const std::filesystem::path& path) { read_npz(path); }
void nifti_of(const std::filesystem::path& path) { read_nifti(path); }

/// `size` zero bytes with `text` at byte `at`.
std::string text_at(std::size_t at, std::size_t size, std::string_view text) {
  std::string bytes(size, '\0');
  std::copy(text.begin(), text.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  return bytes;
}

}  // namespace

TEST_CASE("file kinds: every reader names the kind of a file of another format", "[io]") {
  const TempDir dir;
  const Volume volume{Tensor::ones({2, 3, 4}), identity_affine};
  write_nifti(dir / "v.nii", volume);
  write_nifti(dir / "v.nii.gz", volume);
  const auto weights = vg::test::data_file("io/package.safetensors"), archive = vg::test::data_file("io/others.npz"),
             json = vg::test::data_file("checkpoint-v2.json");
  std::string torch = text_at(30, 86, "archive/data.pkl");
  torch.replace(0, 4, "PK\3\4");
  const auto pt = dir.write("model.pt", torch);

  CHECK_THAT(
      refusal(checkpoint_of, dir / "v.nii.gz"),
      Contains("v.nii.gz: this is not a checkpoint, which is JSON; it looks like gzip: a NIfTI volume (.nii.gz)?"));
  CHECK_THAT(refusal(checkpoint_of, dir / "v.nii"), Contains("it looks like a NIfTI volume (.nii)"));
  CHECK_THAT(refusal(checkpoint_of, weights), Contains("it looks like safetensors"));
  CHECK_THAT(refusal(checkpoint_of, archive), Contains("it looks like a zip archive: numpy's .npz"));
  CHECK_THAT(refusal(checkpoint_of, pt), Contains("it looks like a zip archive: PyTorch's torch.save"));
  CHECK_THAT(refusal(safetensors_of, json), Contains("it looks like a voxgrad checkpoint (JSON)"));
  CHECK_THAT(refusal(safetensors_of, archive), Contains("it looks like a zip archive"));
  CHECK_THAT(refusal(npz_of, json), Contains("it looks like a voxgrad checkpoint (JSON)"));
  CHECK_THAT(refusal(npz_of, weights), Contains("it looks like safetensors"));
  CHECK_THAT(refusal(nifti_of, json), Contains("it looks like a voxgrad checkpoint (JSON)"));
  CHECK_THAT(refusal(nifti_of, archive), Contains("it looks like a zip archive: numpy's .npz"));
}

TEST_CASE("file kinds: recognised by their first bytes", "[io]") {
  using namespace std::string_literals;
  using detail::looks_like;
  const std::pair<std::string, const char*> cases[] = {
      {"\x89HDF\r\n\x1a\n"s, "HDF5"},       {"\x89PNG\r\n\x1a\n"s, "PNG"},
      {"\x93NUMPY\1\0"s, "one array"},      {"\x80\2ccollections"s, "Python pickle"},
      {text_at(128, 132, "DICM"), "DICOM"}, {"version https://git-lfs.github.com/spec/v1"s, "Git LFS"},
      {"<!DOCTYPE html>"s, "HTML"},         {"\xff\xfe{\0"s, "UTF-16"}};
  for (const auto& [first, name] : cases)
    CHECK_THAT(looks_like(first), Catch::StartsWith("; it looks like ") && Contains(name));
  CHECK(looks_like("").empty());
  CHECK(looks_like("hello").empty());
  CHECK(looks_like(std::string(600, '\0')).empty());
}

TEST_CASE("file kinds: control sequences in text of a file are escaped", "[io]") {
  using vg::escaped;
  CHECK(escaped("a\x1b[2Jb\n\x7f") == "a\\x1b[2Jb\\x0a\\x7f");
  CHECK(escaped("\u0085\u009b31m") == "\\u0085\\u009b31m");                         // C1: next line, control sequence
  CHECK(escaped("x\u202etxt.exe\u2066\u200f") == "x\\u202etxt.exe\\u2066\\u200f");  // change the direction
  CHECK(escaped("\u00e9\u4e2d\U0001f9e0 \"q\" \\") == "\u00e9\u4e2d\U0001f9e0 \"q\" \\");  // letters are unchanged
  CHECK(escaped("\xff\xc0\x80 \xed\xa0\x80") == "\\xff\\xc0\\x80 \\xed\\xa0\\x80");        // invalid bytes
  CHECK(in_quotes(std::string(59, 'a') + "\u4e2d") == "\"" + std::string(59, 'a') + "...\"");
  CHECK(in_quotes(std::string(60, 'a')) == "\"" + std::string(60, 'a') + "\"");
}
