// What fuses with what, as data; docs/fusion.md has the same table. A lazy op or a container looks its rule up here.
#pragma once

#include <span>
#include <string_view>

namespace vg::fusion {

/// The ops that the rules name, as bits. layer_norm has no rule.
enum class Op : unsigned {
  none = 0,
  conv3d = 1 << 0,
  concat = 1 << 1,
  bias_add = 1 << 2,
  group_norm = 1 << 3,
  batch_norm = 1 << 4,
  normalize = 1 << 5,
  norm_sum = 1 << 6,
  add = 1 << 7,
  relu = 1 << 8,
  leaky_relu = 1 << 9,
  gelu = 1 << 10,
  max_pool3d = 1 << 11,
  layer_norm = 1 << 12,
};
constexpr Op operator|(Op a, Op b) { return Op{static_cast<unsigned>(a) | static_cast<unsigned>(b)}; }
constexpr bool has(Op set, Op op) { return (static_cast<unsigned>(set) & static_cast<unsigned>(op)) != 0; }

/// The name of one op, as Variable::op() returns it.
std::string_view name_of(Op op);

/// Each of the consumers absorbs each of the producers.
struct Rule {
  Op producers, consumers;
  bool donated;                        ///< only if no handle of the producer's value is left outside of the consumer
  std::string_view condition, result;  ///< the conditions that the consumer checks itself, and what happens
};

std::span<const Rule> rules();
/// Null if the two do not fuse.
const Rule* rule_of(Op producer, Op consumer);

}  // namespace vg::fusion
