#include "voxgrad/framework/system/file_signature.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace vg::detail {

namespace {

using namespace std::string_view_literals;

bool has(std::string_view first, std::size_t at, std::string_view magic) {
  return first.size() >= at + magic.size() && first.substr(at, magic.size()) == magic;
}

struct Signature {
  std::size_t at;
  std::string_view magic;
  std::string_view name;
};
constexpr Signature signatures[] = {
    {0, "\x1f\x8b"sv, "gzip: a NIfTI volume (.nii.gz)?"},
    {0, "\x89HDF\r\n\x1a\n"sv, "HDF5: a Keras or MINC file (.h5, .mnc)?"},
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG image"},
    {0, "\xff\xd8\xff"sv, "a JPEG image"},
    {0, "GIF8"sv, "a GIF image"},
    {0, "II*\0"sv, "a TIFF image"},
    {0, "MM\0*"sv, "a TIFF image"},
    {0, "%PDF-"sv, "a PDF document"},
    {128, "DICM"sv, "a DICOM image"},
    {0, "NRRD"sv, "an NRRD volume"},
    {0, "\x93NUMPY"sv, "numpy's .npy: one array; an .npz archive has names"},
    {344, "n+1\0"sv, "a NIfTI volume (.nii)"},
    {344, "ni1\0"sv, "the header of a NIfTI pair (.hdr/.img)"},
    {4, "n+2\0"sv, "a NIfTI-2 volume (.nii)"},
    {257, "ustar"sv, "a tar archive"},
    {0, "\x28\xb5\x2f\xfd"sv, "data compressed by zstd"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "data compressed by xz"},
    {0, "BZh"sv, "data compressed by bzip2"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program"},
    {0, "version https://git-lfs"sv, "a pointer of Git LFS: fetch the file itself with `git lfs pull`"},
    {0, "<!DOCTYPE"sv, "HTML: the error page of a download?"},
    {0, "<html"sv, "HTML: the error page of a download?"},
    {0, "<?xml"sv, "XML"},
    {0, "\xef\xbb\xbf"sv, "text with a byte order mark, which some editors add"},
    {0, "\xff\xfe"sv, "text in UTF-16"},
    {0, "\xfe\xff"sv, "text in UTF-16"},
};

// PyTorch's files are zip archives of one folder, whose first entry is data.pkl.
std::string_view zip_kind(std::string_view first) {
  const bool pytorch = first.find("/data.pkl"sv) != std::string_view::npos;
  if (pytorch) return "a zip archive: PyTorch's torch.save (.pt, .pth)? Write safetensors from PyTorch instead";
  return first.find(".npy"sv) != std::string_view::npos ? "a zip archive: numpy's .npz" : "a zip archive: .npz?";
}

std::string_view json_kind(std::string_view first) {
  return first.find("voxgrad-checkpoint"sv) != std::string_view::npos ? "a voxgrad checkpoint (JSON)" : "JSON";
}

std::string_view kind_of(std::string_view first) {
  if (first.size() >= 9 && first[7] == '\0' && first[8] == '{') return "safetensors";
  for (const Signature& s : signatures)
    if (has(first, s.at, s.magic)) return s.name;
  if (has(first, 0, "PK\3\4")) return zip_kind(first);
  // Only pickle protocols 2 to 5 begin with a mark.
  if (first.size() > 2 && first[0] == '\x80' && first[1] >= 2 && first[1] <= 5)
    return "a Python pickle: an old torch.save (.pt, .pth)? Write safetensors from PyTorch instead";
  const std::size_t text = first.find_first_not_of(" \t\r\n");
  if (text != std::string_view::npos && first[text] == '{') return json_kind(first);
  return {};
}

}  // namespace

std::string looks_like(std::string_view first) {
  const std::string_view kind = kind_of(first.substr(0, std::min(first.size(), signature_bytes)));
  return kind.empty() ? "" : fmt::format("; it looks like {}", kind);
}

}  // namespace vg::detail
