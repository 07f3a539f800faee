// The bytes of a compressed stream. Internal to framework/formats/.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "voxgrad/framework/formats/file_dtype.hpp"

namespace vg::detail {

/// Reads a compressed stream, which can expand 1032 times, so that a short file may claim gigabytes and hold none of
/// them. An eighth of the claimed bytes is therefore read into pieces, as they unpack, before the caller takes memory
/// for all: what is taken grows with what was read.
class ClaimedBytes {
 public:
  /// Reads ahead from `next`, which throws where its stream ends too early. Nothing is read ahead where less than 1 MiB
  /// is claimed.
  ClaimedBytes(NextBytes next, std::int64_t claimed);
  /// The next `bytes`: those that were read ahead, then the stream's.
  void read(void* to, std::int64_t bytes);

 private:
  NextBytes next_;
  std::deque<std::vector<unsigned char>> pieces_;
  std::size_t used_ = 0;  ///< of the first piece
};

}  // namespace vg::detail
