// Reads the bytes of a compressed stream. Internal to framework/formats/.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "voxgrad/framework/formats/file_dtype.hpp"

namespace vg::detail {

/// Reads a compressed stream. Such a stream can expand 1032 times, so a short file may claim gigabytes without holding
/// them. Therefore an eighth of the claimed bytes is first read into pieces, as they unpack, before the caller
/// allocates memory for all of them: the memory used grows with the bytes read.
class ClaimedBytes {
 public:
  /// Reads ahead from `next`, which throws if its stream ends too early. Does not read ahead if less than 1 MiB is
  /// claimed.
  ClaimedBytes(NextBytes next, std::int64_t claimed);
  /// Reads the next `bytes` bytes: first those that were read ahead, then those of the stream.
  void read(void* to, std::int64_t bytes);

 private:
  NextBytes next_;
  std::deque<std::vector<unsigned char>> pieces_;
  std::size_t used_ = 0;  ///< bytes read from the first piece
};

}  // namespace vg::detail
