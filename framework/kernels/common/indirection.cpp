#include "voxgrad/framework/kernels/common/indirection.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>

namespace vg::kernels {

namespace {

std::int64_t ceil_div_signed(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }  // b > 0, any a

struct TapRange {
  std::int64_t k, i0, begin, end;  // inputs i0 + t * in_step are inside for begin <= t < end
};

/// Cuts the `count` outputs of a phase where a tap enters or leaves the input.
void add_phase(Axis& axis, std::int64_t first, std::int64_t count, const std::vector<TapRange>& ranges) {
  std::vector<std::int64_t> cuts = {0, count};
  for (const TapRange& r : ranges) cuts.insert(cuts.end(), {r.begin, r.end});
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  for (std::size_t c = 0; c + 1 < cuts.size(); ++c) {
    const std::int64_t begin = cuts[c];
    const auto tap_begin = static_cast<std::int64_t>(axis.taps.size());
    for (const TapRange& r : ranges)
      if (r.begin <= begin && begin < r.end) axis.taps.push_back({r.k, r.i0 + begin * axis.in_step});
    axis.segments.push_back(
        {first + begin * axis.out_step, cuts[c + 1] - begin, tap_begin, static_cast<std::int64_t>(axis.taps.size())});
  }
}

Axis make_axis(const Conv3dProblem& p, int a) {
  const std::int64_t S = p.stride[a], L = p.lhs_dilation[a], R = p.rhs_dilation[a], P = p.pad[a];
  const std::int64_t in = p.in_size[a], out = p.out_size[a], g = std::gcd(S, L);
  Axis axis{L / g, S / g, {}, {}};
  std::vector<TapRange> ranges;
  for (std::int64_t r = 0; r < std::min(axis.out_step, out); ++r) {
    const std::int64_t count = ceil_div_signed(out - r, axis.out_step);
    ranges.clear();
    for (std::int64_t k = 0; k < p.kernel_size[a]; ++k) {
      const std::int64_t at = r * S - P + k * R;
      if (at % L != 0) continue;
      const std::int64_t i0 = at / L;
      const std::int64_t begin = i0 >= 0 ? 0 : ceil_div_signed(-i0, axis.in_step);
      const std::int64_t end = std::min(count, i0 >= in ? 0 : ceil_div_signed(in - i0, axis.in_step));
      if (begin < end) ranges.push_back({k, i0, begin, end});
    }
    add_phase(axis, r, count, ranges);
  }
  return axis;
}

/// Cuts the segments of an axis into nearly equal chunks of at most `most` outputs.
std::vector<Chunk> cut(const Axis& axis, std::int64_t most) {
  std::vector<Chunk> chunks;
  for (std::size_t s = 0; s < axis.segments.size(); ++s) {
    const std::int64_t count = axis.segments[s].count, pieces = ceil_div_signed(count, most);
    for (std::int64_t i = 0, begin = 0; i < pieces; ++i) {
      const std::int64_t size = (count - begin) / (pieces - i);
      chunks.push_back({static_cast<std::int64_t>(s), begin, size});
      begin += size;
    }
  }
  return chunks;
}

std::int64_t largest(const std::vector<Chunk>& chunks) {
  std::int64_t n = 0;
  for (const Chunk& c : chunks) n = std::max(n, c.count);
  return n;
}

std::int64_t size(const std::vector<Chunk>& chunks) { return static_cast<std::int64_t>(chunks.size()); }

}  // namespace

Indirection::Indirection(const Conv3dProblem& p, std::int64_t positions) : p_(p) {
  for (int a = 0; a < 3; ++a) axes_[a] = make_axis(p, a);
  const std::int64_t depth = std::max<std::int64_t>(1, p.out_size[2]);
  // The rows of a task are as square as possible in H and W, so that few input rows are read twice.
  const std::int64_t rows = std::max<std::int64_t>(1, positions / depth);
  std::int64_t height = 1;
  while ((height + 1) * (height + 1) <= rows) ++height;
  height = std::max<std::int64_t>(1, std::min(height, ceil_div_signed(p.out_size[0], axes_[0].out_step)));
  const std::int64_t width = std::max<std::int64_t>(1, rows / height);
  chunks_[0] = cut(axes_[0], height);
  chunks_[1] = cut(axes_[1], width);
  chunks_[2] = cut(axes_[2], std::max<std::int64_t>(1, positions));
  // A long row is cut into several tasks. Otherwise one task has all of a row, because its phases share cache lines.
  d_parts_ = depth > positions ? size(chunks_[2]) : std::min<std::int64_t>(1, size(chunks_[2]));
  most_taps_ = p.kernel_size[0] * p.kernel_size[1] * p.kernel_size[2];
  const std::int64_t most_rows = largest(chunks_[0]) * largest(chunks_[1]);
  most_positions_ = most_rows * largest(chunks_[2]);
  most_box_positions_ = d_parts_ == 1 ? most_rows * p.out_size[2] : most_positions_;
}

std::int64_t Indirection::boxes() const { return p_.batch * size(chunks_[0]) * size(chunks_[1]) * d_parts_; }

Box Indirection::box(std::int64_t index) const {
  const std::int64_t part = index % d_parts_;
  index /= d_parts_;
  const std::int64_t w = index % size(chunks_[1]);
  index /= size(chunks_[1]);
  const std::int64_t h = index % size(chunks_[0]);
  const std::int64_t all = size(chunks_[2]);
  return {index / size(chunks_[0]), h, w, d_parts_ == 1 ? 0 : part, d_parts_ == 1 ? all : part + 1};
}

Indirection::Part Indirection::part(const Box& box, std::int64_t d, int axis) const {
  const std::int64_t index[3] = {box.h, box.w, d};
  const Chunk& chunk = chunks_[axis][static_cast<std::size_t>(index[axis])];
  return {chunk, &axes_[axis].segments[static_cast<std::size_t>(chunk.segment)]};
}

std::int64_t Indirection::taps(const Box& box, std::int64_t d, bool merge, TapRun* taps) const {
  const Segment* s[3];
  const AxisTap* first[3];
  for (int a = 0; a < 3; ++a) {
    s[a] = part(box, d, a).segment;
    first[a] = axes_[a].taps.data() + s[a]->tap_begin;
  }
  const std::int64_t channels = p_.in_channels / p_.groups;
  std::int64_t n = 0;
  for (std::int64_t h = 0; h < s[0]->tap_end - s[0]->tap_begin; ++h)
    for (std::int64_t w = 0; w < s[1]->tap_end - s[1]->tap_begin; ++w) {
      const std::int64_t row = (first[0][h].i - first[0]->i) * p_.in_size[1] + first[1][w].i - first[1]->i;
      const std::int64_t tap_row = first[0][h].k * p_.kernel_size[1] + first[1][w].k;
      for (std::int64_t k = 0; k < s[2]->tap_end - s[2]->tap_begin; ++k) {
        const TapRun tap = {(row * p_.in_size[2] + first[2][k].i - first[2]->i) * p_.in_channels, channels,
                            (tap_row * p_.kernel_size[2] + first[2][k].k) * channels};
        if (merge && n > 0 && taps[n - 1].x + taps[n - 1].k == tap.x && taps[n - 1].w + taps[n - 1].k == tap.w)
          taps[n - 1].k += tap.k;
        else
          taps[n++] = tap;
      }
    }
  return n;
}

std::int64_t Indirection::positions(const Box& box, std::int64_t d) const {
  return part(box, d, 0).chunk.count * part(box, d, 1).chunk.count * part(box, d, 2).chunk.count;
}

std::int64_t Indirection::positions(const Box& box, std::int64_t d, std::int64_t* x_indirection,
                                    std::int64_t* y_indirection) const {
  std::int64_t count[3], out_stride[3], in_stride[3];
  std::int64_t y_stride = p_.out_channels, x_stride = p_.in_channels, y_origin = 0, x_origin = 0;
  bool meets = true;
  for (int a = 2; a >= 0; --a) {
    const Axis& axis = axes_[a];
    const auto [chunk, segment] = part(box, d, a);
    count[a] = chunk.count;
    out_stride[a] = axis.out_step * y_stride;
    in_stride[a] = axis.in_step * x_stride;
    y_origin += segment->first * y_stride + chunk.begin * out_stride[a];
    meets = meets && segment->tap_begin < segment->tap_end;
    if (meets)
      x_origin += axis.taps[static_cast<std::size_t>(segment->tap_begin)].i * x_stride + chunk.begin * in_stride[a];
    y_stride *= p_.out_size[a];
    x_stride *= p_.in_size[a];
  }
  y_origin += box.batch * y_stride;
  x_origin = meets ? x_origin + box.batch * x_stride : 0;
  if (!meets) std::fill_n(in_stride, 3, 0);
  std::int64_t n = 0;
  for (std::int64_t h = 0; h < count[0]; ++h)
    for (std::int64_t w = 0; w < count[1]; ++w) {
      const std::int64_t x = x_origin + h * in_stride[0] + w * in_stride[1];
      const std::int64_t y = y_origin + h * out_stride[0] + w * out_stride[1];
      for (std::int64_t t = 0; t < count[2]; ++t, ++n) {
        x_indirection[n] = x + t * in_stride[2];
        y_indirection[n] = y + t * out_stride[2];
      }
    }
  return n;
}

std::shared_ptr<const Indirection> indirection_of(const Conv3dProblem& p, std::int64_t positions) {
  struct Entry {
    Conv3dProblem p;
    std::int64_t positions;
    std::shared_ptr<const Indirection> indirection;
  };
  constexpr std::size_t most = 64;
  static std::mutex mutex;
  static std::vector<Entry> entries;  // a ring in the order of construction
  static std::size_t next = 0;
  const auto same = [&](const Entry& e) {  // p has no padding: all its fields are 64-bit
    return e.positions == positions && std::memcmp(&e.p, &p, sizeof p) == 0;
  };
  const std::lock_guard lock(mutex);
  if (const auto found = std::find_if(entries.begin(), entries.end(), same); found != entries.end())
    return found->indirection;
  auto indirection = std::make_shared<const Indirection>(p, positions);
  if (entries.size() < most)
    entries.push_back({p, positions, indirection});
  else
    entries[next++ % most] = {p, positions, indirection};
  return indirection;
}

Conv3dProblem transposed(const Conv3dProblem& p) {
  Conv3dProblem t = p;
  for (int a = 0; a < 3; ++a) {
    t.in_size[a] = p.out_size[a];
    t.out_size[a] = p.in_size[a];
    t.stride[a] = p.lhs_dilation[a];
    t.lhs_dilation[a] = p.stride[a];
    t.pad[a] = (p.kernel_size[a] - 1) * p.rhs_dilation[a] - p.pad[a];
  }
  t.in_channels = p.out_channels;
  t.out_channels = p.in_channels;
  return t;
}

Conv3dProblem collapsed(const Conv3dProblem& p) {
  for (int a = 0; a < 3; ++a)
    if (p.kernel_size[a] != 1 || p.stride[a] != 1 || p.lhs_dilation[a] != 1 || p.pad[a] != 0 ||
        p.in_size[a] != p.out_size[a])
      return p;
  Conv3dProblem c = p;
  c.in_size[2] = c.out_size[2] = p.batch * p.in_size[0] * p.in_size[1] * p.in_size[2];
  c.batch = c.in_size[0] = c.in_size[1] = c.out_size[0] = c.out_size[1] = 1;
  return c;
}

}  // namespace vg::kernels
