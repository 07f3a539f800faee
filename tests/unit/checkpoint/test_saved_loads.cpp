// Every file that a writer produces must be accepted by its reader; otherwise the work in it is lost.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>

#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/formats/formats.hpp"

using namespace vg;
using Catch::Contains;
using checkpoint::Document;
using vg::test::message_of;
using vg::test::TempDir;

namespace {

/// Random strings, values and trees that a program may save, and some that it must not.
class Some {
 public:
  explicit Some(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  /// Mostly UTF-8: characters of one to four bytes, control characters, quotes, zeros; sometimes an invalid byte.
  std::string text() {
    static const std::vector<std::string> pieces{"a",      "Z9",         ".",
                                                 "/",      "..",         "\\",
                                                 "\"",     "\n",         "\t",
                                                 "\x7f",   "\x01",       std::string(1, '\0'),
                                                 " ",      "{",          "\u00e9",
                                                 "\u0085", "\u202e",     "\u4e2d",
                                                 "\ufeff", "\U0001f9e0", "__metadata__",
                                                 ".npy"};
    static const std::vector<std::string> broken{"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf0\x9f"};
    std::string out;
    for (std::size_t n = below(6); n > 0; --n) out += pieces[below(pieces.size())];
    if (below(40) == 0) out += broken[below(broken.size())];
    return out;
  }

  Value value() {
    const double reals[] = {0.0, -0.0, 1.0, 0.1, -1e300, 5e-324, HUGE_VAL, -HUGE_VAL, std::nan("")};
    switch (below(7)) {
      case 0:
        return below(2) == 0;
      case 1:
        return static_cast<std::int64_t>(random_());
      case 2:
        return reals[below(std::size(reals))];
      case 3:
        return text();
      case 4:
        return std::vector<std::int64_t>(below(20), INT64_MIN);
      case 5: {
        std::vector<double> list;
        for (std::size_t n = below(20); n > 0; --n) list.push_back(reals[below(std::size(reals))]);
        return list;
      }
      default:
        return std::vector<std::string>(below(4), text());
    }
  }

  Attributes values() {
    Attributes out;
    for (std::size_t n = below(4); n > 0; --n) out.emplace_back(text(), value());
    return out;
  }

  NamedTensors tensors() {
    NamedTensors out;
    for (std::size_t n = below(4); n > 0; --n) {
      Shape shape;
      for (std::size_t rank = below(4); rank > 0; --rank) shape.push_back(static_cast<std::int64_t>(below(4)));
      const DType dtypes[] = {f32, f64, i32};
      out.emplace_back(text(), Tensor::full(shape, 3, dtypes[below(3)]));
    }
    return out;
  }

  StateDict bundle(int depth) {
    StateDict out{values(), tensors(), {}};
    const std::size_t more = depth <= 0 ? 0 : 1;
    for (std::size_t n = more; n > 0; --n) out.parts.emplace_back(text(), bundle(depth - 1));
    return out;
  }

  Document document() {
    Document out;
    out.progress = values();
    // 58 to 65 state dicts, each in the "parts" of the previous one, are about as deep as a file may be.
    const int depth = below(8) == 0 ? 58 + static_cast<int>(below(8)) : static_cast<int>(below(3));
    out.parts.emplace_back(text(), bundle(depth));
    return out;
  }

 private:
  std::mt19937_64 random_;
};

bool same(const NamedTensors& a, const NamedTensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.dtype() == y.second.dtype() && x.second.shape() == y.second.shape() &&
           std::memcmp(x.second.raw(), y.second.raw(), static_cast<std::size_t>(x.second.bytes())) == 0;
  });
}

void sort(NamedTensors& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

Document with_text(std::string name, std::string text) {
  Document d;
  d.progress.emplace_back(std::move(name), std::move(text));
  return d;
}

}  // namespace

TEST_CASE("saved files load: any checkpoint", "[io]") {
  const TempDir dir;
  Some some(1);
  int written = 0, refused = 0;
  for (int i = 0; i < 1500; ++i) {
    const Document d = some.document();
    try {
      checkpoint::write(d, dir / "a.json");
    } catch (const ValueError&) {
      ++refused;
      continue;
    }
    ++written;
    const Document back = checkpoint::read(dir / "a.json");
    checkpoint::write(back, dir / "b.json");  // compares every value and type
    REQUIRE(vg::test::read_bytes(dir / "a.json") == vg::test::read_bytes(dir / "b.json"));
  }
  CHECK(written > 500);
  CHECK(refused > 100);
}

TEST_CASE("saved files load: any safetensors and npz", "[io]") {
  const TempDir dir;
  Some some(2);
  int written = 0, refused = 0;
  for (int i = 0; i < 1500; ++i) {
    NamedTensors tensors = some.tensors();
    std::vector<std::pair<std::string, std::string>> metadata;
    for (std::size_t n = some.below(3); n > 0; --n) metadata.emplace_back(some.text(), some.text());
    try {
      if (i % 2 == 0)
        write_safetensors(dir / "t", tensors, metadata);
      else
        write_npz(dir / "t", tensors, {.compress = i % 4 == 1});
    } catch (const ValueError&) {
      ++refused;
      continue;
    }
    ++written;
    NamedTensors back;
    if (i % 2 == 0) {
      SafetensorsFile file = read_safetensors(dir / "t");
      CHECK(file.metadata == metadata);
      back = std::move(file.tensors);
      sort(back), sort(tensors);
    } else {
      back = read_npz(dir / "t");
    }
    REQUIRE(same(back, tensors));
  }
  CHECK(written > 500);
  CHECK(refused > 100);
}

TEST_CASE("saved files load: names and texts of a checkpoint up to 16 MiB", "[io][large]") {
  const TempDir dir;
  const std::string longest(checkpoint::max_text, 'x'), longer = longest + 'x';
  checkpoint::write(with_text(longest, longest), dir / "m.json");
  CHECK((checkpoint::read(dir / "m.json").progress == with_text(longest, longest).progress));
  // The limit applies to the string itself, not to its bytes in the file, where a quote takes two.
  const std::string quotes(checkpoint::max_text, '"');
  checkpoint::write(with_text("q", quotes), dir / "q.json");
  CHECK((std::get<std::string>(checkpoint::read(dir / "q.json").progress[0].second) == quotes));

  CHECK_THAT(
      message_of([&] { checkpoint::write(with_text("text", longer), dir / "no.json"); }),
      Contains(
          "[checkpoint] save: the string at \"$.progress.text\" has 16777217 bytes; a checkpoint allows 16777216"));
  CHECK_THAT(message_of([&] { checkpoint::write(with_text(longer, "text"), dir / "no.json"); }),
             Contains("has 16777217 bytes; a checkpoint allows 16777216"));
  CHECK(dir.names() == std::vector<std::string>{"m.json", "q.json"});
}

TEST_CASE("saved files load: up to 10^6 names in an object of a checkpoint", "[io][large]") {
  const TempDir dir;
  Document d;
  for (std::size_t i = 0; i < checkpoint::max_keys; ++i) d.progress.emplace_back(std::to_string(i), false);
  checkpoint::write(d, dir / "m.json");
  CHECK((checkpoint::read(dir / "m.json").progress == d.progress));
  d.progress.emplace_back("one more", false);
  CHECK_THAT(message_of([&] { checkpoint::write(d, dir / "no.json"); }),
             Contains("[checkpoint] save: \"$.progress.one more\" is one of more than 1000000 names"));
  CHECK(dir.names() == std::vector<std::string>{"m.json"});
}

TEST_CASE("npz: names that point out of the folder are refused", "[io]") {
  const TempDir dir;
  for (const char* name : {"../x", "a/../../x", "/etc/x", "C:/x", "..\\x", "a\\b"}) {
    INFO(name);
    CHECK_THAT(message_of([&] {
                 write_npz(dir / "t.npz", {{name, Tensor::ones({1})}});
               }),
               Contains("[write_npz] tensors: got the name ") && Contains("leads out of the folder"));
  }
  CHECK(dir.names().empty());
  const NamedTensors fine{
      {"a/b", Tensor::ones({1})}, {"..", Tensor::ones({1})}, {"w:0", Tensor::ones({1})}, {"a..b/c", Tensor::ones({1})}};
  write_npz(dir / "t.npz", fine);
  CHECK(same(read_npz(dir / "t.npz"), fine));
}
