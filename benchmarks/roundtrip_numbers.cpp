// Converts every f32 pattern, and random f64 patterns, to a checkpoint's decimal text and back; the bits must not
// change. Prints one line of JSON and exits with 1 if any value differs.
// (tests/unit/checkpoint/test_checkpoint_json.cpp runs a sample.)
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "support/options.hpp"
#include "voxgrad/framework/checkpoint/numbers.hpp"

namespace {

using namespace vg::checkpoint;

float parsed(std::string_view text, float) { return parse_float(text); }
double parsed(std::string_view text, double) { return parse_double(text); }

// Whether the value's text is a JSON number, or a string for a value that JSON cannot express, and reads back as the
// same bits.
template <class T, class Bits>
bool comes_back(Bits pattern) {
  const T value = std::bit_cast<T>(pattern);
  char room[number_room + 1];
  char* const end = print(room, value);
  *end = '\0';
  const std::string_view text(room, static_cast<std::size_t>(end - room));
  T back = 0;
  if (text.front() == '"') {
    if (text.back() != '"' || !parse_special(text.substr(1, text.size() - 2), back)) return false;
  } else {
    bool integer = false;
    if (number_end(room, integer) != end) return false;
    back = parsed(text, T{});
  }
  return std::bit_cast<Bits>(back) == pattern;
}

struct Counts {
  std::uint64_t done = 0, wrong = 0;
};

// Calls work(piece) for each piece, on several threads.
template <class Work>
Counts run(unsigned threads, std::uint64_t pieces, Work work) {
  std::atomic<std::uint64_t> next{0}, done{0}, wrong{0};
  const auto worker = [&] {
    for (std::uint64_t piece = next++; piece < pieces; piece = next++) {
      const Counts counts = work(piece);
      done += counts.done;
      wrong += counts.wrong;
    }
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(worker);
  worker();
  for (std::thread& t : others) t.join();
  return {done, wrong};
}

}  // namespace

int main(int argc, char** argv) {
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::uint64_t f32_step = 1, f64_count = 100000000, seed = 1;
  const auto status = bench::parse_options(
      argc, argv, "Numbers through the decimals of a checkpoint and back",
      {{"--threads", &threads, "", bench::between(1u, 256u)},
       {"--f32-step", &f32_step, "distance between the tested ones of the 2^32 patterns", bench::positive()},
       {"--f64", &f64_count, "random f64 patterns", bench::between(std::uint64_t{0}, std::uint64_t{1} << 40)},
       {"--seed", &seed, "seed of the random patterns"}});
  if (status) return *status;

  constexpr std::uint64_t all = std::uint64_t{1} << 32, piece_size = std::uint64_t{1} << 20;
  const Counts f32 = run(threads, all / piece_size, [&](std::uint64_t piece) {
    Counts counts;
    const std::uint64_t first = (piece * piece_size + f32_step - 1) / f32_step * f32_step;
    for (std::uint64_t i = first; i < (piece + 1) * piece_size; i += f32_step, ++counts.done)
      counts.wrong += !comes_back<float>(static_cast<std::uint32_t>(i));
    return counts;
  });
  const Counts f64 = run(threads, (f64_count + piece_size - 1) / piece_size, [&](std::uint64_t piece) {
    Counts counts;
    std::mt19937_64 draw(seed * 1000003 + piece);
    const std::uint64_t count = std::min(piece_size, f64_count - piece * piece_size);
    for (; counts.done < count; ++counts.done) counts.wrong += !comes_back<double>(std::uint64_t{draw()});
    return counts;
  });
  fmt::print("{{\"f32\": {}, \"f32_wrong\": {}, \"f64\": {}, \"f64_wrong\": {}}}\n", f32.done, f32.wrong, f64.done,
             f64.wrong);
  return f32.wrong + f64.wrong == 0 ? 0 : 1;
}
