// Broken checkpoint files, and folders that cannot be written: the message names the position or path, and nothing
// changes.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <limits>
#include <regex>

#include "support/checkpoint_run.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"

namespace fs = std::filesystem;
using Catch::Matchers::Contains;
using namespace vg::test;

namespace {

const std::string head = R"({"format": "voxgrad-checkpoint", "version": 3)";

// Documents with this text as a leaf, as a value of progress, or as the optimizer's state dict.
std::string leaf(const std::string& text) {
  return head +
         R"(, "model": {"description": {"kind": "M"}, "states": {"a.w": {"kind": "ParamState", "leaves": {"v": )" +
         text + "}}}}}";
}
std::string value(const std::string& text) { return head + R"(, "progress": {"p": )" + text + "}}"; }
std::string bundle(const std::string& text) { return head + R"(, "optimizer": )" + text + "}"; }
std::string f32(const std::string& values) {
  return leaf(R"({"dtype": "f32", "shape": [2], "values": [)" + values + "]}");
}
std::string i32(const std::string& values) {
  return leaf(R"({"dtype": "i32", "shape": [2], "values": [)" + values + "]}");
}
std::string base64(const std::string& dtype, const std::string& shape, const std::string& text) {
  return leaf(R"({"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "encoding": "base64", "values": )" + text +
              "}");
}
std::string repeated(const std::string& text, int n) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

struct Malformed {
  std::string text, said;
};

}  // namespace

TEST_CASE("checkpoint: malformed documents are refused with their position") {
  const Malformed cases[] = {
      {"", "line 1, byte 0, at $: syntax error while parsing value - unexpected end of input"},
      {"[]", "at $: got an array; must be an object"},
      {"12", "got 12; must be an object"},
      {"null", "got null; must be an object"},
      {"{}", "the key \"format\" is missing"},
      {"hello", "syntax error while parsing value - invalid literal; last read: 'h'"},
      {R"({"format": "other", "version": 1})",
       "at $.format: got \"other\"; must be \"voxgrad-checkpoint\": this is not a checkpoint"},
      {R"({"format": 7, "version": 1})", "got 7; must be \"voxgrad-checkpoint\""},
      {R"({"version": 1, "format": "voxgrad-checkpoint"})", "got the key \"version\"; \"format\" must come before it"},
      {R"({"format": "voxgrad-checkpoint"})", "the key \"version\" is missing"},
      {R"({"format": "voxgrad-checkpoint", "new": 1})", "got the key \"new\"; \"version\" must come before it"},
      {R"({"format": "voxgrad-checkpoint", "version": 4, "new": 1})",
       "at $.version: the file is of version 4; this voxgrad reads versions 1 to 3"},
      {R"({"format": "voxgrad-checkpoint", "version": 0})", "the file is of version 0"},
      {R"({"format": "voxgrad-checkpoint", "version": -1})", "the file is of version -1"},
      {R"({"format": "voxgrad-checkpoint", "version": "1"})", "got \"1\"; must be an integer"},
      {R"({"format": "voxgrad-checkpoint", "version": 1.0})", "got 1.0; must be an integer"},
      {R"({"format": {}, "version": 1})", "at $.format: got an object; must be \"voxgrad-checkpoint\""},
      {head + R"(, "extra": 1})",
       "at $.extra: got the key \"extra\"; allowed are \"format\", \"version\", \"progress\""},
      {head + R"(, "version": 1})", "the key \"version\" appears twice in this object"},
      {head + "}}", "at $: syntax error while parsing value - unexpected '}'; expected end of input"},
      {head + "} x", "at $: syntax error while parsing value - invalid literal"},
      {head + "}" + std::string(1, '\0') + "x", "at $: syntax error: unexpected \"\\x00\""},
      {head + ", \n\n \"model\": 3}", "line 3, byte 60, at $.model: got 3; must be an object"},
      {head + R"(, "model": [])" + "}", "at $.model: got an array; must be an object"},
      {head + R"(, "model": {"states": {}}})", "at $.model: the key \"description\" is missing"},
      {head + R"(, "model": {"description": {"kind": 3}}})", "at $.model.description.kind: got 3; must be a string"},
      {head + R"(, "model": {"description": {"kind": "a", "children": {"b.c": {}}}}})",
       "at $.model.description.children[\"b.c\"]: the key \"kind\" is missing"},
      {head + R"(, "model": {"description": {"kind": "a", "children": {"b": 1}}}})",
       "children.b: got 1; must be an object"},
      {leaf("null"), "at $.model.states[\"a.w\"].leaves.v: got null; must be an object"},
      {leaf("{}"), "the key \"dtype\" is missing"},
      {leaf(R"({"dtype": "f32", "shape": [1]})"), "the key \"values\" is missing"},
      {leaf(R"({"dtype": "f32", "values": [1], "shape": [1]})"),
       "leaves.v: the key \"shape\" is missing; it must come before \"values\""},
      {leaf(R"({"dtype": "f16", "shape": [1], "values": [1]})"),
       "leaves.v.dtype: [dtype] got \"f16\"; allowed are f32, f64, i32"},
      {leaf(R"({"dtype": "f32", "shape": [1], "values": [1], "crc": 1})"),
       "got the key \"crc\"; allowed are \"dtype\", \"shape\", \"encoding\", \"crc32\", \"values\""},
      {leaf(R"({"dtype": "f32", "shape": 1, "values": [1]})"), "leaves.v.shape: got 1; must be an array"},
      {leaf(R"({"dtype": "f32", "shape": [-1], "values": [1]})"), "extent of axis 0: got -1; must be at least 0"},
      {leaf(R"({"dtype": "f32", "shape": [1.5], "values": [1]})"), "leaves.v.shape[0]: got 1.5; must be an integer"},
      {leaf(R"({"dtype": "f32", "shape": [99999999999999999999], "values": [1]})"),
       "shape[0]: got 99999999999999999999; must be an integer of at most 64 bits"},
      {leaf(R"({"dtype": "f32", "shape": [1,1,1,1,1,1,1,1,1], "values": [1]})"),
       "shape[8]: the array has more than 8 entries"},
      {leaf(R"({"dtype": "f32", "shape": [4294967296, 4294967296], "values": [1]})"), "passes 2^63 - 1"},
      {leaf(R"({"dtype": "f64", "shape": [1000000000000000000], "values": [1]})"),
       "there are 1 values; shape (1000000000000000000,) needs 1000000000000000000"},
      {leaf(R"({"dtype": "f32", "shape": [[1]], "values": [1]})"), "shape[0]: got an array; must be an integer"},
      {f32("1"), "there are 1 values; shape (2,) needs 2"},
      {f32("1, 2, 3"), "leaves.v.values[2]: there are more values than the 2 of shape (2,)"},
      {f32("1, 2,"), "values[2]: syntax error: unexpected \"]\"; must be a value"},
      {f32("1 2"), "values[1]: syntax error: unexpected \"2\"; must be ',' or ']'"},
      {f32("1, [2]"), "leaves.v.values[1]: got an array; must be a number"},
      {f32("1, null"), "values[1]: got \"null\"; must be a number of f32"},
      {f32("1, true"), "values[1]: got \"true\"; must be a number of f32"},
      {f32("1, NaN"), "got \"NaN\"; must be a number of f32"},
      {f32("1, 0x10"), "values[2]: syntax error: unexpected \"x\"; must be ',' or ']'"},
      {f32("1, .5"), "got \".5\"; must be a number of f32"},
      {f32("1, 1."), "got \"1.\"; must be a number of f32"},
      {f32("1, -"), "got \"-\"; must be a number of f32"},
      {f32("1, +1"), "got \"+1\"; must be a number of f32"},
      {f32("1, 1e+"), "got \"1e+\"; must be a number of f32"},
      {f32("1, 1." + std::string(5000, '0')), "the number has more than 4096 bytes"},
      {f32("1, nul"), "got \"nul\"; must be a number of f32"},
      {f32("1, tru"), "got \"tru\"; must be a number of f32"},
      {f32("1, 01"), "unexpected \"1\"; must be ',' or ']'"},
      {f32("1, 1e39"), "values[1]: got 1e39, which is out of the range of f32"},
      {f32("1, -1e999"), "got -1e999, which is out of the range of f32"},
      {f32("1, \"NaN\""),
       "values[1]: got \"NaN\"; besides numbers f32 has \"nan\", \"inf\", \"-inf\" and \"nan:0x\" with 8"},
      {f32("1, \"nan:0x3f800000\""), "got \"nan:0x3f800000\"; besides"},
      {f32("1, \"nan:0x7FC00001\""), "got \"nan:0x7FC00001\"; besides"},
      {f32("1, \"nan:0x7ff8000000000001\""), "got \"nan:0x7ff8000000000001\"; besides"},
      {f32("1, \"1.5\""), "got \"1.5\"; besides"},
      {i32("1, 1.0"), "got 1.0; i32 takes integers only"},
      {i32("1, 1e3"), "got 1e3; i32 takes integers only"},
      {i32("1, \"nan\""), "got \"nan\"; i32 takes integers only"},
      {i32("1, 2147483648"), "got 2147483648, which is out of the range of i32"},
      {i32("1, 18446744073709551615"), "got 18446744073709551615, which is out of the range of i32"},
      {i32("-2147483649, 1"), "got -2147483649, which is out of the range of i32"},
      {value("null"), "at $.progress.p: got null; must be true, false, a number"},
      {value("18446744073709551615"), "must be an integer of at most 64 bits"},
      {value("123456789012345678901234567890"), "must be an integer of at most 64 bits"},
      {value("[]"), "an empty array must say its type: {\"i64\": []}"},
      {value("[1, 2.5]"), "progress.p[1]: got 2.5; must be an integer"},
      {value("[2.5, 1]"), "got the integer 1 in an array of f64"},
      {value("[2.5, \"nan\"]"), "such an array is written {\"f64\": [...]}"},
      {value("[true]"), "got true; must be an integer, a number or a string"},
      {value("[[1]]"), "got an array; must be an integer, a number or a string"},
      {value("{}"), "a value that is an object has one key, its type"},
      {value(R"({"f32": 1})"), "got the key \"f32\"; a value that is an object"},
      {value(R"({"f64": 1, "i64": 1})"), "got the key \"i64\" after \"f64\""},
      {value(R"({"f64": "Infinity"})"), "at $.progress.p.f64: got \"Infinity\"; besides numbers f64 has"},
      {head + R"(, "progress": {"p": 1, "q": 2, "p": 3}})",
       "at $.progress.p: the key \"p\" appears twice in this object"},
      {head + R"(, "generator": {"algorithm": "mt19937", "key": [1, 2]}})",
       "got \"mt19937\"; this version reads \"threefry2x32\""},
      {head + R"(, "generator": {"algorithm": "threefry2x32", "key": [1]}})",
       "at $.generator.key: got 1 words; must be 2"},
      {head + R"(, "generator": {"algorithm": "threefry2x32", "key": [1, 4294967296]}})",
       "got 4294967296; must be of 32 bits, unsigned"},
      {bundle(R"({"weights": {}})"),
       "at $.optimizer.weights: got the key \"weights\"; allowed are \"values\", \"tensors\", \"parts\""},
      {bundle(R"({"parts": {"x": {"tensors": {"t": {"dtype": "f32", "shape": [], "values": []}}}}})"),
       "at $.optimizer.parts.x.tensors.t.values: there are 0 values; shape () needs 1"},
      {bundle(repeated(R"({"parts": {"x": )", 100) + "{}" + repeated("}}", 100)),
       "the file is nested more than 128 deep"},
      {repeated("[", 100000), "the file is nested more than 128 deep"},
      {value("\"" + std::string(1, '\xc3') + "\""), "invalid string: ill-formed UTF-8 byte"},
      {value("\"a\nb\""), "invalid string: control character U+000A (LF) must be escaped to \\u000A or \\n"},
      {value("\"" + std::string(5000, 'a')), "invalid string: missing closing quote"},
      {value(R"("\x")"), "invalid string: forbidden character after backslash"},
      {value(R"("\u12g4")"), "invalid string: '\\u' must be followed by 4 hex digits"},
      {value(R"("\ud800")"), "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF"},
      {value(R"("\udc00\ud800")"), "invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF"},
      {value("1e999"), "number overflow parsing '1e999'"},
      {value("1 \"q\": 2"), "unexpected string literal; expected '}'"},
      {head + ", 1: 2}", "unexpected number literal; expected string literal"},
      {head + ",}", "unexpected '}'; expected string literal"},
      {head + ", \"model\" 3}", "unexpected number literal; expected ':'"},
      {"\xef\xbb\xbf{}", "this is not a checkpoint, which is JSON; it looks like text with a byte order mark"},
      {base64("i32", "[2]", "\"AQAAAAIAAA=\""), "the base64 string ends after 7 of the 8 bytes that shape (2,) needs"},
      {base64("i32", "[2]", "\"AQAAAAIA\""), "the base64 string ends after 6 of the 8 bytes that shape (2,) needs"},
      {base64("i32", "[2]", "\"AQAAAAIAAAA\""), "the base64 string is not padded as the 8 bytes of shape (2,) are"},
      {base64("i32", "[2]", "\"AQAAAAIAAAB=\""), "is not padded as the 8 bytes"},
      {base64("i32", "[2]", "\"AQAAAAIAAAA=AAAA\""), "the base64 string has more than the 8 bytes of shape (2,)"},
      {base64("i32", "[2]", "\"AQAA-AIAAAA=\""), "got \"-\" in base64; its letters are A-Z"},
      {base64("i32", "[2]", "\"AQAA\\/AIAAA=\""), "got \"\\\" in base64"},
      {base64("i32", "[2]", "\"AQAA\nAIAAAA=\""), "got \"\\x0a\" in base64"},
      {base64("i32", "[2]", "[1, 2]"), "got an array; must be a string, as \"encoding\" is \"base64\""},
      {base64("i32", "[2]", "3"), "got 3; must be an array"},
      {base64("f64", "[1000000]", "\"AQAA\""), "shape (1000000,) needs 1000000 values of 8 bytes; the file has"},
      {base64("f64", "[4000000000000000000]", "\"AQAA\""), "needs 4000000000000000000 values of 8 bytes"},
      {leaf(R"({"dtype": "i32", "shape": [2], "values": "AQAAAAIAAAA="})"), "got \"AQAAAAIAAAA=\"; must be an array"},
      {leaf(R"({"dtype": "i32", "shape": [1], "encoding": "hex", "values": [1]})"),
       "got \"hex\"; must be \"decimal\" or \"base64\""},
      {leaf(R"({"dtype": "i32", "shape": [1], "values": [1], "encoding": "base64"})"),
       "\"encoding\" must come before \"values\""},
      {leaf(R"({"dtype": "i32", "shape": [1], "crc32": 7, "values": [1]})"),
       "leaves.v: the CRC-32 of the values is 2583214201, the file says 7: the file is damaged, or was changed by "
       "hand; to "
       "load it as it is, remove this \"crc32\" and the one at the end of the file"},
      {leaf(R"({"dtype": "i32", "shape": [1], "crc32": "7", "values": [1]})"), "got \"7\"; must be an integer"},
      {head + R"(, "crc32": 12})", "at $.crc32: the CRC-32 of all bytes before it is "},
      {head + R"(, "crc32": 1.5})", "got 1.5; must be an integer"},
      {head + ", \"" + std::string(5000, 'k') + "\": 1}", std::string(60, 'k') + "...\"; allowed are"},
  };
  CHECK(std::size(cases) > 120);
  const TempDir folder;
  Holder model(vg::Tensor::ones({2}));
  for (const auto& [text, said] : cases) {
    INFO(text.substr(0, 300));
    const auto path = folder.write("bad.json", text);
    const std::string got = message([&] { vg::load(model, path); });
    CHECK_THAT(got, Contains("IoError [checkpoint] load: ") && Contains("bad.json: ") && Contains(said));
    CHECK(got.size() < 1000);
  }
  CHECK(model.state["value"].value().values() == std::vector<double>{1, 1});
}

TEST_CASE("checkpoint: a broken file never crashes and never changes the model") {
  const TempDir folder;
  Net net(2, 1);
  vg::Checkpoint checkpoint;
  checkpoint.model(net);
  checkpoint.progress = {{"step", 1}, {"odd", std::numeric_limits<double>::infinity()}};
  checkpoint.save(folder / "whole.json");
  const std::string whole = read_bytes(folder / "whole.json");
  Net other(5, 1);
  vg::Checkpoint into;
  into.model(other);
  auto before = bits(other);

  SECTION("cut at every byte") {
    for (std::size_t n = 0; n + 1 < whole.size(); ++n) {  // without the last newline the file is still complete
      folder.write("cut.json", whole.substr(0, n));
      bool refused = false;
      try {
        into.load(folder / "cut.json");
      } catch (const vg::IoError&) {
        refused = true;
      }
      if (!refused || bits(other) != before) FAIL("cut to " << n << " bytes");
    }
  }
  SECTION("another byte at every place, without the checksums") {
    const std::string bare = std::regex_replace(whole, std::regex(",?\\s*\"crc32\": \\d+"), "");
    CHECK(bare.size() + 100 < whole.size());
    for (std::size_t i = 0; i < bare.size(); i += 3) {
      for (const char c : {'"', '{', ']', '9', ',', '\0'}) {
        std::string text = bare;
        text[i] = c;
        folder.write("bad.json", text);
        const std::string said = message([&] { into.load(folder / "bad.json"); });
        if (said != "nothing was thrown" && bits(other) != before) FAIL("byte " << i << " as " << int{c});
        before = bits(other);
      }
    }
  }
  SECTION("another byte at every place") {
    into.load(folder / "whole.json");
    before = bits(other);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (const char c : {'"', ']', '9', ',', '\xff'}) {
        std::string text = whole;
        text[i] = c;
        folder.write("bad.json", text);
        bool refused = false;
        try {
          into.load(folder / "bad.json");
        } catch (const vg::IoError&) {
          refused = true;
        } catch (const vg::ValueError&) {
          refused = true;
        }
        if (text[i] != whole[i] && !refused) FAIL("byte " << i << " as " << int{c} << " is not seen");
        if (bits(other) != before) FAIL("byte " << i << " as " << int{c});
      }
    }
  }
}

TEST_CASE("checkpoint: a claimed size allocates no memory") {
  const TempDir folder;
  std::string text = leaf(R"({"dtype": "f64", "shape": [100000000000], "values": [1, 2, 3)");
  const auto path = folder.write("bad.json", text.substr(0, text.find(", 3") + 3));
  CHECK_THAT(message([&] { vg::checkpoint::read(path); }),
             Contains("values[3]") && Contains("unexpected end of the file; must be ',' or ']'"));
}

TEST_CASE("checkpoint: positions in a file of many chunks") {
  const TempDir folder;
  std::string text = leaf("{\"dtype\": \"i32\", \"shape\": [300000], \"values\": [\n0");
  text.resize(text.find("\n0") + 2);
  for (int i = 1; i < 300000; ++i) text += i == 250000 ? ",\n?" : ",\n" + std::to_string(i);
  const auto path = folder.write("bad.json", text);
  CHECK_THAT(message([&] { vg::checkpoint::read(path); }),
             Contains(": line 250002, byte " + std::to_string(text.find('?')) + ", at $.model"));
}

TEST_CASE("checkpoint: files that cannot be read or written") {
  const TempDir folder;
  Holder model(vg::Tensor::ones({1000}));
  CHECK_THAT(message([&] { vg::load(model, folder / "none.json"); }),
             Contains("IoError [checkpoint] load: cannot read ") && Contains("none.json: there is no such file"));
  CHECK_THAT(message([&] { vg::load(model, folder.path()); }), Contains("it is a directory, not a regular file"));
  CHECK_THAT(message([&] { vg::save(model, folder.path()); }),
             Contains("IoError [checkpoint] save: cannot write ") && Contains("it is a folder"));
  CHECK_THAT(message([&] { vg::save(model, folder / "no/m.json"); }), Contains("no/m.json: No such file or directory"));
  CHECK_THAT(message([&] { vg::save(model, "/dev/full"); }), Contains("/dev/full: it is not a regular file"));
  CHECK_THAT(message([&] { vg::save(model, folder / std::string(300, 'x')); }), Contains("File name too long"));
  CHECK_THAT(message([&] { vg::save(model, ""); }), Contains("IoError"));
  CHECK(folder.names().empty());
  const std::string longest(250, 'x');
  vg::save(model, folder / longest);
  CHECK(folder.names() == std::vector<std::string>{longest});
}

TEST_CASE("checkpoint: a failing save leaves the old file and nothing else") {
  const TempDir folder;
  Holder model(vg::Tensor::full({200000}, 0.123456));
  Holder small(vg::Tensor::ones({2}));
  const auto path = folder / "m.json";
  vg::save(small, path);
  const std::string old = read_bytes(path);

  SECTION("the disk is full") {  // simulated: this process may write files of 100 kB
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small_files{100000, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small_files);
    const std::string said = message([&] { vg::save(model, path); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    CHECK_THAT(said, Contains("IoError [checkpoint] save: cannot write ") && Contains("m.json: File too large"));
  }
  SECTION("what cannot be saved") {
    const auto refused = [&](const vg::Attributes& progress) {
      vg::Checkpoint checkpoint;
      checkpoint.model(model).progress = progress;
      return message([&] { checkpoint.save(path); });
    };
    CHECK_THAT(refused({{"a", 1}, {"b", 2}, {"a", 3}}),
               Contains("ValueError [checkpoint] save: there are two of the name \"a\" in \"$.progress"));
    for (const char* bad : {"\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80", "\xe4\xb8"})
      CHECK_THAT(refused({{"a", std::string(bad)}}), Contains("the string at \"$.progress.a\" is not UTF-8"));
    CHECK_THAT(refused({{std::string("\xff"), 1}}), Contains("is not UTF-8"));
    vg::checkpoint::Document document;
    document.optimizer = vg::StateDict{{}, {{"t", vg::Tensor()}}, {}};
    CHECK_THAT(message([&] { vg::checkpoint::write(document, path); }),
               Contains("ValueError [checkpoint] save: the tensor \"$.optimizer.tensors.t\" is undefined"));
    document.optimizer = vg::StateDict{};
    vg::StateDict* deepest = &*document.optimizer;
    for (int i = 0; i < 70; ++i) deepest = &deepest->parts.emplace_back("x", vg::StateDict{}).second;
    CHECK_THAT(message([&] { vg::checkpoint::write(document, path); }), Contains("nested more than 128 deep"));
  }
  CHECK(read_bytes(path) == old);
  CHECK(folder.names() == std::vector<std::string>{"m.json"});
}

TEST_CASE("checkpoint: the deepest tree that can be saved can be read") {
  const TempDir folder;
  vg::checkpoint::Document document;
  vg::StateDict* deepest = &document.optimizer.emplace(vg::StateDict{});
  for (int i = 0; i < 61; ++i) deepest = &deepest->parts.emplace_back("x", vg::StateDict{}).second;
  deepest->tensors.emplace_back("t", vg::Tensor::ones({2}));
  vg::checkpoint::write(document, folder / "deep.json");
  CHECK(vg::checkpoint::read(folder / "deep.json").optimizer);
}

TEST_CASE("checkpoint: a save replaces the old file and keeps its mode and link") {
  const TempDir folder;
  Holder model(vg::Tensor::ones({2}));
  folder.write("real.json", "old");
  fs::permissions(folder / "real.json", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real.json", folder / "latest.json");
  vg::save(model, folder / "latest.json");
  CHECK(fs::is_symlink(folder / "latest.json"));
  CHECK(fs::status(folder / "real.json").permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  vg::load(model, folder / "real.json");
  CHECK(folder.names() == std::vector<std::string>{"latest.json", "real.json"});
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  vg::save(model, "plain.json");  // no folder in the path
  fs::current_path(before);
  CHECK(folder.names().size() == 3);
}

TEST_CASE("checkpoint: one of each part") {
  Holder model(vg::Tensor::ones({2}));
  Part part;
  vg::random::Generator generator;
  vg::Checkpoint checkpoint;
  checkpoint.model(model).optimizer(part).generator(generator).part("a", part);
  CHECK_THROWS_WITH(checkpoint.model(model), "[checkpoint] model: there already is one");
  CHECK_THROWS_AS(checkpoint.optimizer(part), vg::ValueError);
  CHECK_THROWS_AS(checkpoint.generator(generator), vg::ValueError);
  CHECK_THROWS_WITH(checkpoint.part("a", part), Contains("part \"a\": there already is one"));
}
