// How much of the caches the algorithms plan with: all budgets of framework/kernels, each with its reason. They are
// constants, so that a plan, and with it the order of every sum, depends on the problem only and not on the machine.
//
// They suit cores with an L2 of 1 to 2 MiB (Zen 4, Golden Cove); on cores with 512 KiB (Zen 2, Zen 3) the part beyond
// it comes from L3.
#pragma once

#include <cstdint>

namespace vg::kernels::cache {

constexpr std::int64_t kibibyte = 1 << 10, mebibyte = 1 << 20;

/// Volumes above it do not stay in the caches from one call to the next, so their outputs are better written by
/// non-temporal stores. Less than any last-level cache: what a process gets of one is not what the system reports, in
/// virtual machines least of all.
constexpr std::int64_t non_temporal_threshold = 12 * mebibyte;

/// The transformed inputs and products of a block of tiles in one stage: half of L2, as the other half holds weights.
constexpr std::int64_t winograd_block = 512 * kibibyte;
/// The same for all stages at once: with more, lines prefetched for the next block are evicted before their use.
constexpr std::int64_t winograd_block_at_once = 600 * kibibyte;
/// The same for a stride of 2, whose 125 + 27 points per tile leave less room for weights.
constexpr std::int64_t winograd_strided_block = 400 * kibibyte;
/// The transformed inputs and gradients of a block in grad_weight, which share L2 with the sums below.
constexpr std::int64_t winograd_wgrad_block = 128 * kibibyte;
/// The sums that a task of grad_weight adds to, block after block: they must stay in L2 beside the block.
constexpr std::int64_t winograd_wgrad_sums = 384 * kibibyte;

/// Transformed weights above it leave L2: then the panel loop reads them once for all tiles.
constexpr std::int64_t panel_loop_weights = 2 * mebibyte;
/// The transformed volumes that the panel loop keeps for all tiles: a share of L3.
constexpr std::int64_t panel_loop_volumes = 16 * mebibyte;
/// The taps that a task of the panel loop reads once per slice: half of L2.
constexpr std::int64_t panel_loop_taps = 1 * mebibyte;

/// The depthwise kernels' ring of input copies: half of L2.
constexpr std::int64_t depthwise_ring = 512 * kibibyte;
/// The largest copy of an input with its padding: in larger volumes boundary outputs are too few for a copy to pay.
constexpr std::int64_t padded_copy = 8 * mebibyte;

/// All partial sums of a grad_weight together: they are written and read once more, so a share of L3.
constexpr std::int64_t direct_partial_sums = 16 * mebibyte;
constexpr std::int64_t winograd_partial_sums = 8 * mebibyte;
/// The same in bf16, of rows that are cut: in elements of f32.
constexpr std::int64_t bf16_partial_sum_elements = 4 * mebibyte;
/// Input and outputs of a row chunk in bf16, whose copies are rounded and paired: at most 16 MiB, in elements of f32.
constexpr std::int64_t bf16_chunk_elements = 4 * mebibyte;

}  // namespace vg::kernels::cache
