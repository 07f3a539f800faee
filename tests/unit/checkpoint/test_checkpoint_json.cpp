// Compares the reader's JSON with nlohmann's, and tests that it streams: memory, edges of the window, growing files.
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
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <utility>

#include "support/checkpoint_run.hpp"
#include "support/checkpoint_versions.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/checkpoint/base64.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/json.hpp"
#include "voxgrad/framework/checkpoint/text.hpp"

using Catch::Matchers::Contains;
using namespace vg::test;
using namespace vg::checkpoint;

namespace {

// Reads any JSON into a document of nlohmann.
struct Anything : Level {
  nlohmann::ordered_json& out;
  static inline bool infinite = false;  // a real beyond the range of f64 was read
  bool list = false, object = false;
  std::string name;
  explicit Anything(nlohmann::ordered_json& o) : out(o) {}

  nlohmann::ordered_json& place() {
    if (list) return out.emplace_back(nullptr);
    return object ? out[name] : out;
  }
  void key(const std::string& k) override { name = k; }
  void scalar(const Scalar& s) override {
    auto& to = place();
    using Kind = Scalar::Kind;
    if (s.kind == Kind::boolean) to = s.truth;
    if (s.kind == Kind::natural) to = s.natural;
    if (s.kind == Kind::negative) to = s.negative;
    if (s.kind == Kind::real) to = parse_double(s.text);
    infinite = infinite || (s.kind == Kind::real && std::isinf(parse_double(s.text)));
    if (s.kind == Kind::text) to = std::string(s.text);
  }
  LevelPtr open(Opened what) override {
    auto& to = place();
    to = what == Opened::list ? nlohmann::ordered_json::array() : nlohmann::ordered_json::object();
    auto level = std::make_unique<Anything>(to);
    (what == Opened::list ? level->list : level->object) = true;
    return level;
  }
  std::string expected() const override { return "anything"; }
};

// The document; empty after an error.
std::optional<nlohmann::ordered_json> ours(const std::string& text) {
  const int file = ::memfd_create("json", 0);  // thousands of files on a disk would be slow
  REQUIRE(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  InputFile in("/proc/self/fd/" + std::to_string(file));
  ::close(file);
  nlohmann::ordered_json document;
  Walker walker(std::make_unique<Anything>(document));
  try {
    read_json(in, walker);
  } catch (const ParseError&) {
    return std::nullopt;
  }
  return document;
}

std::optional<nlohmann::ordered_json> theirs(const std::string& text) {
  auto document = nlohmann::ordered_json::parse(text, nullptr, false);
  if (document.is_discarded()) return std::nullopt;
  return document;
}

}  // namespace

TEST_CASE("checkpoint: our JSON accepts and refuses the same texts as nlohmann's") {
  const std::string seeds[] = {
      R"({"a": [1, -2, 3.5e-7, "x\n\u00e9\ud83d\ude00\\\"", null, true, false, {}], "b": {"c": [[], [0]]}})",
      R"([0, -0, -0.0, 1E5, 1e+5, 18446744073709551615, -9223372036854775808, 123456789012345678901, 0.1])",
      " [ \"\xc3\xa9\xe4\xb8\x96\xf0\x9f\x98\x80\" , \"\\u0041\\/\\b\\f\\r\\t\" ] \r\n\t"};
  std::mt19937 draw(3);
  int right = 0, wrong = 0;
  for (const std::string& seed : seeds) {
    REQUIRE(ours(seed) == theirs(seed));
    for (int i = 0; i < 2000; ++i) {
      std::string text = seed;
      for (std::size_t n = 1 + draw() % 2; n != 0; --n) {
        const std::size_t at = draw() % text.size();
        const char bytes[] = "{}[]\",:\\0123456789+-.eEtrufalsn \n\x01\x7f\x80\xc3\xe4\xed\xf0";
        const char c = bytes[draw() % (sizeof bytes - 1)];
        if (draw() % 3 == 0)
          text.erase(at, 1);
        else if (draw() % 2 == 0)
          text.insert(at, 1, c);
        else
          text[at] = c;
        if (text.empty()) text = "0";
      }
      const auto a = ours(text), b = theirs(text);
      // A duplicate key is no error for nlohmann, nor here, because the walker refuses it. A real beyond the range of
      // f64 is an error for nlohmann only.
      if (std::exchange(Anything::infinite, false)) continue;
      if (!a && b && text.find("\"a\"") != text.rfind("\"a\"")) continue;
      if (a != b)
        FAIL(text << "\nours: " << (a ? a->dump() : "refused") << "\ntheirs: " << (b ? b->dump() : "refused"));
      (a ? right : wrong)++;
    }
  }
  CHECK(right > 250);
  CHECK(wrong > 2500);
}

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

TEST_CASE("checkpoint: a file may grow after it was opened") {
  const TempDir folder;
  const auto path = folder.write("a.json", "abc");
  InputFile in(path);  // chooses a window for a small file
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
