// The lists of consecutive boxes in one buffer, so that a kernel can prefetch the following positions. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/indirection.hpp"

namespace vg::kernels {

class LookaheadBuffer {
 public:
  /// The least number of offsets that follow those of a call. It covers the latency of memory.
  static constexpr std::int64_t ahead = 256;

  /// `merge`: see Indirection::taps.
  LookaheadBuffer(const Indirection& indirection, bool merge)
      : indirection_(indirection),
        merge_(merge),
        room_(boxes * indirection.most_box_positions() + ahead),
        taps_(indirection.most_taps()),
        offsets_(2 * room_) {}

  /// Calls f(taps, number of taps, x_indirection, y_indirection, positions) for each chunk of the boxes [begin, end)
  /// that has taps. Box `after` probably follows; it need not exist.
  template <class F>
  void each(std::int64_t begin, std::int64_t end, std::int64_t after, const F& f) {
    std::int64_t at = 0, count = begin < end ? append(0, begin) : 0;
    for (std::int64_t b = begin; b < end; ++b) {
      if (at + count + indirection_.most_box_positions() + ahead > room_) at = to_front(at, count);
      const std::int64_t follower = b + 1 < end ? b + 1 : after;
      const std::int64_t next = follower < indirection_.boxes() ? append(at + count, follower) : 0;
      if (next < ahead) repeat_last(at + count + next);
      const Box box = indirection_.box(b);
      for (std::int64_t d = box.d_begin; d < box.d_end; ++d) {
        const std::int64_t positions = indirection_.positions(box, d),
                           tap_count = indirection_.taps(box, d, merge_, taps_.data());
        if (tap_count > 0) f(taps_.data(), tap_count, x_indirection() + at, y_indirection() + at, positions);
        at += positions;
      }
      count = next;
    }
  }

 private:
  static constexpr std::int64_t boxes = 8;  // enough to move lists to the front seldom

  /// Writes the offsets of a box from entry `at` on and returns their number.
  std::int64_t append(std::int64_t at, std::int64_t index) {
    const Box box = indirection_.box(index);
    const std::int64_t first = at;
    for (std::int64_t d = box.d_begin; d < box.d_end; ++d)
      at += indirection_.positions(box, d, x_indirection() + at, y_indirection() + at);
    return at - first;
  }
  std::int64_t to_front(std::int64_t at, std::int64_t count) {
    for (std::int64_t* off : {x_indirection(), y_indirection()})
      std::memmove(off, off + at, static_cast<std::size_t>(count) * sizeof *off);
    return 0;
  }
  void repeat_last(std::int64_t end) {
    for (std::int64_t* off : {x_indirection(), y_indirection()}) std::fill_n(off + end, ahead, off[end - 1]);
  }
  std::int64_t* x_indirection() { return offsets_.data(); }
  std::int64_t* y_indirection() { return offsets_.data() + room_; }

  const Indirection& indirection_;
  bool merge_;
  std::int64_t room_;
  memory::Scratch<TapRun> taps_;
  memory::Scratch<std::int64_t> offsets_;
};

}  // namespace vg::kernels
