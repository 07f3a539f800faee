// Recognises the kind of a file, for the messages of readers that were given another kind.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vg::detail {

/// The maximum number of bytes from the front of a file that looks_like() uses.
inline constexpr std::size_t signature_bytes = 512;

/// A guess at the format from the file's first bytes, as the end of a message: "; it looks like gzip: a NIfTI volume
/// (.nii.gz)?". Empty if nothing is recognised. It is for messages only; no reader decides by it.
std::string looks_like(std::string_view first);

}  // namespace vg::detail
