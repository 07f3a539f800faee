// Tests that the reader streams (memory, edges of the window, growing files), and the texts of numbers and base64.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <utility>

#include "support/checkpoint_run.hpp"
#include "support/checkpoint_versions.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/numbers.hpp"
#include "voxgrad/framework/system/input_file.hpp"

using Catch::Matchers::Contains;
using namespace vg::test;
using namespace vg::checkpoint;

TEST_CASE("checkpoint: the positions of the window's edges do not matter") {
  const TempDir folder;
  // Values of all lengths, including special ones, at every position relative to the edges of the 256 KiB window.
  std::vector<std::uint32_t> words(70000);
  std::mt19937 draw(5);
  for (auto& w : words) w = static_cast<std::uint32_t>(draw());
  for (std::size_t i = 0; i < words.size(); i += 97) words[i] |= 0x7f800000;
  Holder from(of_bits<float>(words));
  for (const auto encoding : {vg::Encoding::decimal, vg::Encoding::base64}) {
    vg::save(from, folder / "m.json", {.encoding = encoding, .allow_nan = true});
    std::string text = read_bytes(folder / "m.json");
    text.erase(text.rfind(",\n  \"crc32\""));  // its bytes would change
    text += "}";
    for (int shift = 0; shift < 23; ++shift) {
      text.insert(text.find("\"model\""), 1, " \n"[shift % 2]);
      Holder to(vg::Tensor::zeros({70000}));
      vg::load(to, folder.write("s.json", text));
      const bool same = bits(to) == bits(from);
      CHECK(same);
    }
  }
}

TEST_CASE("checkpoint: only the values of tensors are read as such") {
  const TempDir folder;
  const vg::Attributes like_a_tensor{{"dtype", std::string("f32")},
                                     {"shape", std::vector<std::int64_t>{2}},
                                     {"encoding", std::string("base64")},
                                     {"values", std::string("AACAPwAAAEA=")}};
  Document document;
  document.progress = like_a_tensor;
  vg::StateDict part;
  part.values = like_a_tensor;
  part.tensors.emplace_back("values", vg::Tensor::ones({2}));
  for (const char* name : {"values", "tensors", "parts", "leaves"})
    part.parts.emplace_back(name, vg::StateDict{like_a_tensor, {}, {}});
  for (const char* name : {"model", "tensors", "values"}) document.parts.emplace_back(name, part);
  document.optimizer = part;
  for (const auto encoding : {vg::Encoding::decimal, vg::Encoding::base64}) {
    write(document, folder / "a.json", {.encoding = encoding});
    const Document back = vg::checkpoint::read(folder / "a.json");
    CHECK(back.progress == document.progress);
    for (const auto& [name, read] : back.parts) {
      CHECK(read.values == like_a_tensor);
      CHECK(read.tensor("values").values() == std::vector<double>{1, 1});
      for (const auto& [inner, its] : read.parts) CHECK(its.values == like_a_tensor);
    }
    write(back, folder / "b.json", {.encoding = encoding});
    CHECK(read_bytes(folder / "b.json") == read_bytes(folder / "a.json"));
  }
}

TEST_CASE("checkpoint: an object of many keys takes no quadratic time") {
  const TempDir folder;
  std::string text = R"({"format": "voxgrad-checkpoint", "version": 3)";
  for (int i = 0; i < 300000; ++i) text += ", \"k" + std::to_string(i) + "\": 0";  // a minute if it were quadratic
  CHECK_THROWS_WITH(vg::checkpoint::read(folder.write("many.json", text + "}")), Contains("got the key \"k0\""));
}

TEST_CASE("checkpoint: a file may grow after it was opened") {
  const TempDir folder;
  const auto path = folder.write("a.json", "abc");
  vg::detail::InputFile in("[test]", path);  // chooses a window for a small file
  std::ofstream(path, std::ios::app) << std::string(200000, 'x');
  in.need(std::size_t{1} << 16);
  CHECK(in.end() - in.begin() >= 1 << 16);
  std::size_t passed = 0;
  while (in.more()) {
    passed += static_cast<std::size_t>(in.end() - in.begin());
    in.advance(in.end());
  }
  CHECK(passed == 200003);
  CHECK(in.at_end());
}

TEST_CASE("checkpoint: saving and loading need the memory of the tensors and little more") {
  constexpr std::int64_t count = 3000000;  // 24 MB, as f64
  constexpr std::int64_t room = std::int64_t{16} << 20;
  const TempDir folder;
  Holder model(vg::Tensor::full({count}, 0.1, vg::f64));
  for (const auto encoding : {vg::Encoding::decimal, vg::Encoding::base64}) {
    vg::memory::release_cached();
    vg::memory::reset_peak();
    const std::int64_t before = vg::memory::stats().in_use;
    vg::save(model, folder / "m.json", {.encoding = encoding});
    CHECK(vg::memory::stats().peak - before == 0);
    vg::load(model, folder / "m.json");
    CHECK(vg::memory::stats().peak - before <= count * 8 + (2 << 20));  // the pool's blocks have 2 MiB
    // A child process measures memory outside of the pool by the growth of its resident set.
    vg::memory::release_cached();
    ::malloc_trim(0);  // memory that earlier tests freed would hide the growth
    const pid_t child = ::fork();
    if (child == 0) {
      rusage first{}, last{};
      ::getrusage(RUSAGE_SELF, &first);
      const Document document = vg::checkpoint::read(folder / "m.json");
      ::getrusage(RUSAGE_SELF, &last);
      const std::int64_t grown = (last.ru_maxrss - first.ru_maxrss) * 1024;
      ::_exit(document.model && grown > count * 7 && grown <= count * 8 + room ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
}

TEST_CASE("checkpoint: base64 is RFC 4648's") {
  const std::pair<const char*, const char*> rfc[] = {{"f", "Zg=="},         {"fo", "Zm8="},
                                                     {"foo", "Zm9v"},       {"foob", "Zm9vYg=="},
                                                     {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : rfc) {
    char text[16];
    const std::string from = plain;
    char* const end = encode_base64(reinterpret_cast<const unsigned char*>(plain), from.size(), text);
    CHECK(std::string(static_cast<char*>(text), end) == coded);
    unsigned char back[16];
    const std::size_t whole = from.size() / 3;
    CHECK(decode_base64(coded, whole, back) == whole);
    if (from.size() % 3 != 0) CHECK(decode_base64_tail(coded + 4 * whole, from.size() % 3, back + 3 * whole));
    CHECK(std::string(reinterpret_cast<const char*>(back), from.size()) == plain);
  }
  unsigned char back[3];
  for (int c = 0; c < 256; ++c) {  // every byte at every position
    const bool letter = std::isalnum(c) != 0 || c == '+' || c == '/';
    for (std::size_t at = 0; at < 4; ++at) {
      std::string text = "AAAA";
      text[at] = static_cast<char>(c);
      CHECK(decode_base64(text.data(), 1, back) == (letter ? 1 : 0));
    }
  }
  CHECK_FALSE(decode_base64_tail("Zh==", 1, back));  // a bit that belongs to no byte is set
  CHECK_FALSE(decode_base64_tail("Zm9=", 2, back));
  CHECK_FALSE(decode_base64_tail("Zg==", 2, back));
  CHECK_FALSE(decode_base64_tail("Z===", 1, back));
}

TEST_CASE("checkpoint: numbers of any length and size are rounded once") {
  bool integer = false;
  for (const char* bad : {"", "-", "+1", ".5", "1.", "1e", "1e+", "1.e5", "a", "-a"})
    CHECK(number_end(bad, integer) == nullptr);
  const std::string digits = "12345,";
  CHECK(number_end(digits.c_str(), integer) == digits.c_str() + 5);
  CHECK(integer);
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(parse_float("1e39") == inf);
  CHECK(parse_float("-1e99999999999999999999") == -inf);
  CHECK(parse_float("1" + std::string(60, '0')) == inf);
  CHECK(parse_float("0." + std::string(60, '0') + "1") == 0);
  CHECK(std::signbit(parse_float("-1e-99999999999999999999")));
  CHECK(parse_float("0." + std::string(60, '0') + "1e61") == 1.0f);
  CHECK(parse_float("1" + std::string(60, '0') + "e-60") == 1.0f);
  CHECK(parse_float("1e-99") == 0);
  CHECK(parse_float("100e-99") == 0);
  CHECK(parse_double("1e-400") == 0);
  CHECK(std::isinf(parse_double("1e400")));
  CHECK(parse_double("0e999999") == 0);
}

TEST_CASE("checkpoint: 2^24 f32 patterns and 2^20 f64 round-trip through decimal") {
  char text[number_room];
  std::int64_t wrong = 0;
  bool integer = false;
  const auto check = [&](auto value, auto parse, auto bits_of) {
    const char* const end = print(text, value);
    const std::string_view all(text, static_cast<std::size_t>(end - text));
    auto back = value;
    if (all.front() == '"') {
      wrong += !parse_special(all.substr(1, all.size() - 2), back);
    } else {
      *const_cast<char*>(end) = '\0';
      wrong += number_end(text, integer) != end;
      back = parse(all);
    }
    wrong += bits_of(back) != bits_of(value);
  };
  for (std::uint64_t i = 0; i < (std::uint64_t{1} << 24); ++i)  // an odd step reaches patterns of every exponent
    check(std::bit_cast<float>(static_cast<std::uint32_t>(i * 257)), parse_float,
          [](float v) { return std::bit_cast<std::uint32_t>(v); });
  std::mt19937_64 draw(8);
  for (int i = 0; i < (1 << 20); ++i)
    check(std::bit_cast<double>(draw()), parse_double, [](double v) { return std::bit_cast<std::uint64_t>(v); });
  CHECK(wrong == 0);
}
