// Malicious files, and the messages with which their readers must refuse them.
#include "hostile_cases.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "support/zip_by_hand.hpp"
#include "voxgrad/data/nifti.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/checkpoint/checkpoint_manager.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/formats/formats.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/layers/registry/registry.hpp"

namespace hostile {

namespace {

namespace fs = std::filesystem;
using vg::test::TempDir;

// ------------------------------------------------------------------------------------------------------- kinds of file

fs::path fifo(const TempDir& folder) {
  if (::mkfifo((folder / "file").c_str(), 0600) != 0) std::abort();
  return folder / "file";
}

fs::path socket_of(const TempDir& folder) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string path = folder / "file";
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) std::abort();
  ::close(fd);
  return path;
}

fs::path written(const TempDir& folder, const std::string& bytes) { return folder.write("file", bytes); }

std::string number(std::uint64_t value, std::size_t bytes) {
  std::string out(bytes, '\0');
  std::memcpy(out.data(), &value, bytes);
  return out;
}

// ------------------------------------------------------------------------------------------------------------- readers

void load(const fs::path& path) {
  vg::Linear model({.in_size = {1}, .out_features = 1});
  vg::load(model, path);
}
void document(const fs::path& path) { vg::checkpoint::read(path); }
void model(const fs::path& path) { vg::load_model(path); }
void safetensors(const fs::path& path) { vg::read_safetensors(path); }
void npz(const fs::path& path) { vg::read_npz(path); }
void nifti(const fs::path& path) { vg::read_nifti(path); }

/// Resumes from a folder whose newest checkpoint is `path`, and an older one can be read.
void resume(const fs::path& path) {
  const fs::path folder = path.parent_path();
  vg::Linear net({.in_size = {1}, .out_features = 1});
  vg::CheckpointManager run(folder);
  run.checkpoint().model(net);
  run.save(1);
  fs::rename(path, run.path_of(2));
  const vg::ResumeInfo resumed = run.resume();
  if (resumed.step != 1 || resumed.skipped.size() != 1) throw std::runtime_error("step 1 was not found");
  throw vg::IoError(resumed.skipped.front().why);
}

/// Runs the model of a file on a small volume.
void forward(const fs::path& path) {
  vg::set_num_threads(1);  // the stacks of other threads would count
  const auto net = vg::load_model(path);
  const vg::NoGradGuard no_grad;
  (*net)(vg::Tensor::ones({1, 2, 2, 2, 1}));
}

// --------------------------------------------------------------------------------------------------------------- cases

/// A checkpoint with these top-level entries and without a checksum.
std::string checkpoint(const std::string& entries) {
  return R"({"format": "voxgrad-checkpoint", "version": 3, )" + entries + "}";
}
std::string model_of(const std::string& description, const std::string& states) {
  return checkpoint(R"("model": {"description": )" + description + R"(, "states": {)" + states + "}}");
}

/// The texts text(0) to text(count - 1), separated by commas.
template <class F>
std::string joined(int count, F&& text) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    if (i != 0) out += ',';
    out += text(i);
  }
  return out;
}

std::uint64_t murmur64(std::uint64_t h) { return h ^ h >> 47; }

/// libstdc++'s hash of a string of 16 bytes mixes its two words one after the other. For any first word there is a
/// second one that gives a chosen hash, so any number of names can have the same hash.
struct OneHash {
  static constexpr std::uint64_t mul = (std::uint64_t{0xc6a4a793} << 32) + 0x5bd1e995;

  static std::uint64_t inverse_of_mul() {
    std::uint64_t x = mul;  // Newton's iteration doubles the right bits
    for (int i = 0; i < 6; ++i) x *= 2 - mul * x;
    return x;
  }
  static std::uint64_t mixed(std::uint64_t word) { return murmur64(word * mul) * mul; }
  static std::uint64_t unmixed(std::uint64_t word) { return murmur64(word * inverse_of_mul()) * inverse_of_mul(); }

  /// The second word for a first one, such that the state after both has the given value.
  static std::uint64_t second(std::uint64_t first, std::uint64_t wanted) {
    const std::uint64_t start = 0xc70f6907UL ^ (16 * mul);
    const std::uint64_t after = (start ^ mixed(first)) * mul;
    return unmixed(after ^ wanted * inverse_of_mul());
  }
};

/// Names of 16 ASCII characters that JSON does not escape, with the same std::hash.
std::vector<std::string> names_of_one_hash(std::size_t count) {
  std::vector<std::string> names;
  const auto plain = [](const std::string& bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > 34 && c != '\\' && c != 127; });
  };
  for (std::uint64_t i = 0; names.size() < count; ++i) {
    std::string name(16, '#');
    for (std::size_t digit = 0; digit < 5; ++digit) name[digit] = static_cast<char>('0' + (i >> (6 * digit) & 63));
    if (!plain(name)) continue;
    std::uint64_t first = 0;
    std::memcpy(&first, name.data(), 8);
    const std::uint64_t second = OneHash::second(first, 0);
    std::memcpy(name.data() + 8, &second, 8);
    if (plain(name)) names.push_back(name);
  }
  if (std::hash<std::string>()(names.front()) != std::hash<std::string>()(names.back())) std::abort();
  return names;
}

std::string linear(std::int64_t in, std::int64_t out) {
  return fmt::format(
      R"x({{"kind": "Linear", "options": {{"in_size": [{}], "out_features": {}, "w_init": "ZeroInit()", "b_init": "None", )x"
      R"("w_mask": "None", "name": "l"}}}})",
      in, out);
}
std::string sequential(int count, const std::string& child) {
  return R"({"kind": "Sequential", "children": {)" +
         joined(count, [&](int i) { return fmt::format("\"layers.{}\": {}", i, child); }) + "}}";
}
std::string zeros(int count) {
  return joined(count, [](int) { return "0"; });
}
std::string tensor(const std::string& dtype, int count) {
  return fmt::format(R"({{"dtype": "{}", "shape": [{}], "values": [{}]}})", dtype, count, zeros(count));
}

std::string safetensors_of(const std::string& header, const std::string& data = "") {
  return number(header.size(), 8) + header + data;
}

/// The header of a NIfTI-1 file of uint8 voxels, including all bytes before the first voxel.
std::string nifti_header(std::int16_t x, std::int16_t y, std::int16_t z) {
  std::string h(352, '\0');
  const auto put = [&](std::size_t at, std::int64_t value) {
    const std::string bytes = number(static_cast<std::uint64_t>(value), 2);
    h.replace(at, 2, bytes);
  };
  put(0, 348), put(40, 3), put(42, x), put(44, y), put(46, z), put(70, 2), put(72, 8);
  const float offset = 352;
  std::memcpy(h.data() + 108, &offset, 4);
  std::memcpy(h.data() + 344, "n+1", 4);
  return h;
}

/// Bytes that deflate cannot compress.
std::string noise(std::size_t bytes) {
  std::string out(bytes, '\0');
  std::uint64_t state = 88172645463325252u;
  for (char& c : out) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    c = static_cast<char>(state);
  }
  return out;
}

/// Compresses by deflate. `window` is zlib's window bits: 31 gives gzip, -15 the raw form of a zip archive.
std::string packed(const std::string& bytes, int window) {
  z_stream z{};
  if (::deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::string out(::deflateBound(&z, static_cast<uLong>(bytes.size())), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  if (::deflate(&z, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(z.total_out);
  ::deflateEnd(&z);
  return out;
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& order = "False") {
  const std::string dict = "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
  return std::string("\x93NUMPY\1\0", 8) + number(dict.size(), 2) + dict;
}

// Every reader must refuse a path that is not a regular file at once and name its path and kind.
void add_no_files(std::vector<Case>& cases) {
  const std::pair<const char*, void (*)(const fs::path&)> readers[] = {
      {"load", load}, {"load_model", model}, {"a folder's newest", resume}, {"safetensors", safetensors},
      {"npz", npz},   {"nifti", nifti}};
  for (const auto& [name, read] : readers) {
    const auto add = [&, name = name, read = read](const char* kind, std::function<fs::path(const TempDir&)> make) {
      cases.push_back({fmt::format("{}: {}", name, kind), std::move(make), read, {kind, "not a regular file"}});
    };
    add("a FIFO", fifo);
    add("a socket", socket_of);
    add("a directory", [](const TempDir& d) {
      fs::create_directory(d / "file");
      return d / "file";
    });
    add("a character device", [](const TempDir& d) {
      fs::create_symlink("/dev/zero", d / "file");
      return d / "file";
    });
  }
}

// Names with equal std::hash: a hash table of them would take quadratic time.
void add_names(std::vector<Case>& cases) {
  const auto names = [](const char* value) {
    static const std::vector<std::string> all = names_of_one_hash(32768);
    return joined(static_cast<int>(all.size()),
                  [&](int i) { return fmt::format("\"{}\":{}", all[static_cast<std::size_t>(i)], value); });
  };
  cases.push_back({"names of one hash: checkpoint",
                   [names](const TempDir& d) { return written(d, checkpoint("\"progress\": {" + names("1") + "}")); },
                   document});
  cases.push_back({"names of one hash: safetensors",
                   [names](const TempDir& d) {
                     return written(
                         d, safetensors_of("{" + names(R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})") + "}"));
                   },
                   safetensors});
  cases.push_back(
      {"names of one hash: safetensors' metadata",
       [names](const TempDir& d) { return written(d, safetensors_of("{\"__metadata__\":{" + names("\"\"") + "}}")); },
       safetensors});
}

// Descriptions of models that need more memory than their file.
void add_descriptions(std::vector<Case>& cases) {
  cases.push_back({"a description of 2,000 layers as large as the one tensor of the file",
                   [](const TempDir& d) {
                     return written(d, model_of(sequential(2000, linear(1000, 1000)),
                                                R"("layers.0.weight": {"kind": "ParamState", "leaves": {"weight": )" +
                                                    tensor("f32", 1000000) + "}}"));
                   },
                   model,
                   {"[Linear l] parameters: the description needs 1000000 values, 1000000 others before them; the "
                    "file holds 1000000"},
                   5});  // f32 from "0,", twice: the tensor that is read and that of the new model
  const auto norm = [](const char* kind, const char* options) {
    return fmt::format(R"({{"kind": "{}", "options": {{"in_size": [1, 1, 1, 2000000000], {}, "name": "n"}}}})", kind,
                       options);
  };
  const std::tuple<const char*, std::string> norms[] = {
      {"BatchNorm3d",
       norm("BatchNorm3d",
            R"("epsilon": 0.1, "momentum": 0.5, "affine": false, "bias_init": "None", "scale_init": "None")")},
      {"InstanceNorm3d", norm("InstanceNorm3d", R"("epsilon": 0.1, "affine": true)")},
      {"PReLU", norm("PReLU", R"("per_channel": true, "initial": 0.5)")}};
  for (const auto& [kind, description] : norms)
    cases.push_back({fmt::format("a description of a {} of 2e9 channels", kind),
                     [description = description](const TempDir& d) { return written(d, model_of(description, "")); },
                     model,
                     {fmt::format("[{} n] parameters: the description needs", kind), "the file holds 0"}});
  const std::pair<const char*, const char*> resamplers[] = {
      {"upsample_nearest3d",
       R"("Upsample", "options": {"scale": [2147483647, 2147483647, 2147483647], "mode": "nearest")"},
      {"upsample_nearest3d", R"("Upsample", "options": {"scale": [1, 1, 2147483647], "mode": "nearest")"},
      {"upsample_trilinear3d",
       R"("Upsample", "options": {"scale": [1, 1, 1], "mode": "trilinear", "align_corners": false, "size": [1, 1, 2147483647])"},
      {"adaptive_avg_pool3d",
       R"("AdaptiveAvgPool3d", "options": {"output_size": [2147483647, 2147483647, 2147483647])"},
      {"adaptive_avg_pool3d", R"("AdaptiveAvgPool3d", "options": {"output_size": [2147483647, 1, 1])"}};
  for (const auto& [op, begin] : resamplers)
    cases.push_back(
        {fmt::format("a description that resamples to 2^31 - 1: {}, {}", op, begin),
         [begin = begin](const TempDir& d) {
           return written(
               d, model_of(fmt::format(R"({{"kind": {}, "in_size": {{"i64": []}}, "name": "u"}}}})", begin), ""));
         },
         forward,
         {fmt::format("[{}] size: got (", op), "bytes"}});
}

// Headers that claim more data than the file has.
void add_claims(std::vector<Case>& cases) {
  cases.push_back(
      {"a gzip NIfTI file of 1 MB that claims a plane of 32,767 x 32,767",
       [](const TempDir& d) { return written(d, packed(nifti_header(32767, 32767, 1) + noise(mib + mib / 16), 31)); },
       nifti,
       {"ends within its voxels"}});
  cases.push_back({"a NIfTI file that claims a plane of 32,767 x 32,767",
                   [](const TempDir& d) { return written(d, nifti_header(32767, 32767, 1) + noise(mib)); },
                   nifti,
                   {"truncated"}});
  cases.push_back({"an npz entry of 1 MB that claims 1 GB",
                   [](const TempDir& d) {
                     vg::test::Zip::Entry e{.name = "t.npy",
                                            .content = packed(npy("|u1", "(1000000000,)") + noise(mib), -15),
                                            .method = 8};
                     e.size = 1000000000 + static_cast<std::uint32_t>(npy("|u1", "(1000000000,)").size());
                     return written(d, vg::test::Zip{{e}}.bytes());
                   },
                   npz,
                   {"ends too early"}});
  cases.push_back(
      {"a checkpoint's tensor that claims 1e12 values",
       [](const TempDir& d) {
         return written(
             d,
             checkpoint(R"("parts": {"p": {"tensors": {"t": {"dtype": "f64", "shape": [1000000000000], "values": [)" +
                        zeros(1000000) + "]}}}}"));
       },
       document,
       {"there are 1000000 values"}});
}

// Valid files that need as much memory as possible; docs/checkpoint-format.md and framework/formats/ give the bounds.
void add_bounds(std::vector<Case>& cases) {
  // Names, strings, lists and descriptions, in bytes per byte of the file. The numbers of entries are just above a
  // power of 2, where a growing vector has both its old and its new memory.
  constexpr std::size_t text_times = 40;
  const auto add = [&](const char* name, std::size_t times, void (*read)(const fs::path&),
                       std::function<std::string()> make) {
    cases.push_back({fmt::format("bound: {}", name),
                     [make](const TempDir& d) { return written(d, make()); },
                     read,
                     {},
                     times,
                     16 * mib});
  };
  add("f64 of one digit each", 5, document,
      [] { return checkpoint(R"("parts": {"p": {"tensors": {"t": )" + tensor("f64", 4000000) + "}}}"); });
  add("names of values", text_times, document, [] {
    return checkpoint("\"progress\": {" + joined(131073, [](int i) { return fmt::format("\"{:x}\":1", i); }) + "}");
  });
  add("an array of texts", text_times, document,
      [] { return checkpoint("\"progress\": {\"t\":[" + joined(524289, [](int) { return "\"\""; }) + "]}"); });
  add("an array of numbers", text_times, document,
      [] { return checkpoint("\"progress\": {\"t\":[" + zeros(1048577) + "]}"); });
  add("names of states", text_times, document, [] {
    return model_of(R"({"kind":"ReLU"})",
                    joined(65537, [](int i) { return fmt::format("\"{:x}\":{{\"kind\":\"\",\"leaves\":{{}}}}", i); }));
  });
  add("names of parts", text_times, document, [] {
    return checkpoint("\"parts\":{" + joined(131073, [](int i) { return fmt::format("\"{:x}\":{{}}", i); }) + "}");
  });
  add("parts within parts", text_times, document, [] {
    return checkpoint("\"parts\":{" +
                      joined(65537, [](int i) { return fmt::format("\"{:x}\":{{\"parts\":{{\"\":{{}}}}}}", i); }) +
                      "}");
  });
  add("empty tensors", text_times, document, [] {
    return checkpoint(
        R"("parts": {"p": {"tensors": {)" +
        joined(16385, [](int i) { return fmt::format(R"("{:x}":{{"dtype":"f32","shape":[0],"values":[]}})", i); }) +
        "}}}");
  });
  add("a model of many layers", text_times, model,
      [] { return model_of(sequential(32769, R"({"kind":"ReLU"})"), ""); });
  add("a model of many states", text_times, model, [] {
    return model_of(
        sequential(8193, linear(1, 1)), joined(8193, [](int i) {
          return fmt::format(
              R"("layers.{}.weight": {{"kind": "ParamState", "leaves": {{"weight": {{"dtype": "f32", "shape": [1, 1], )"
              R"("values": [1]}}}}}})",
              i);
        }));
  });
  add("safetensors' metadata", text_times, safetensors, [] {
    return safetensors_of("{\"__metadata__\":{" +
                          joined(131073, [](int i) { return fmt::format("\"{:x}\":\"\"", i); }) + "}}");
  });
  add("safetensors' empty tensors", text_times, safetensors, [] {
    return safetensors_of(
        "{" +
        joined(32769,
               [](int i) { return fmt::format(R"("{:x}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", i); }) +
        "}");
  });
  add("safetensors of bytes", 5, safetensors, [] {
    return safetensors_of(R"({"t":{"dtype":"U8","shape":[8000000],"data_offsets":[0,8000000]}})",
                          std::string(8000000, '\0'));
  });
  add("npz of bytes in Fortran's order", 9, npz, [] {
    return vg::test::Zip{
        {{.name = "t.npy", .content = npy("|u1", "(4000, 2000)", "True") + std::string(8000000, '\0')}}}
        .bytes();
  });
  add("npz of empty arrays", text_times, npz, [] {
    vg::test::Zip zip;
    for (int i = 0; i < 5000; ++i)
      zip.entries.push_back({.name = fmt::format("{}.npy", i), .content = npy("<f4", "(0,)")});
    return zip.bytes();
  });
  add("NIfTI of bytes", 5, nifti, [] { return nifti_header(200, 200, 200) + std::string(8000000, '\0'); });
  add("NIfTI of bytes in one long row", 5, nifti,
      [] { return nifti_header(32767, 32, 4) + std::string(32767 * 128, '\0'); });
  // The result is 1,000 times larger than the file, so the bound refers to the unpacked data: 4 bytes per voxel, and an
  // eighth of that before.
  cases.push_back({"bound: gzip NIfTI of zeros",
                   [](const TempDir& d) {
                     return written(d, packed(nifti_header(200, 200, 200) + std::string(8000000, '\0'), 31));
                   },
                   nifti,
                   {},
                   0,
                   5 * 8000000 + 2 * mib});
}

}  // namespace

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_no_files(cases);
  add_names(cases);
  add_descriptions(cases);
  add_claims(cases);
  add_bounds(cases);
  return cases;
}

}  // namespace hostile
