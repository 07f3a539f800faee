#include "problem.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/conv/geometry.hpp"

namespace bench {

using nlohmann::json;
using vg::kernels::Conv3dProblem;

namespace {

constexpr std::array known = {"name",   "class",   "batch",        "in_size",      "out_channels", "kernel_size",
                              "stride", "padding", "lhs_dilation", "rhs_dilation", "groups",       "dtype"};

void check_keys(const json& line) {
  if (!line.is_object()) throw vg::TypeError("[problem] line: got no JSON object; must be {\"name\": ..., ...}");
  for (const auto& [key, value] : line.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw vg::ValueError(fmt::format("[problem] {}: unknown key; must be one of {}", key, fmt::join(known, ", ")));
  const json leaves = line.flatten();
  for (const auto& [path, value] : leaves.items())  // get() would truncate it
    if (value.is_number_float())
      throw vg::TypeError(fmt::format("[problem] {}: got {}; must be an integer", path.substr(1), value.dump()));
}

template <class T>
T get(const json& line, const char* key) {
  if (!line.contains(key)) throw vg::ValueError(fmt::format("[problem] {}: is missing", key));
  try {
    return line.at(key).get<T>();
  } catch (const json::exception&) {
    throw vg::TypeError(fmt::format("[problem] {}: got {}, which is of the wrong type", key, line.at(key).dump()));
  }
}

template <class T>
T get(const json& line, const char* key, T fallback) {
  return line.contains(key) ? get<T>(line, key) : fallback;
}

vg::Triple triple(const json& line, const char* key) {
  if (!line.contains(key)) return {1, 1, 1};
  const vg::TripleArg extent = line[key].is_array() ? vg::TripleArg(get<std::vector<std::int64_t>>(line, key))
                                                    : vg::TripleArg(get<std::int64_t>(line, key));
  return extent.checked("problem", key);
}

vg::Padding padding(const json& line) {
  constexpr auto key = "padding";
  if (!line.contains(key)) return "SAME";
  const json& value = line[key];
  if (value.is_string()) return get<std::string>(line, key);
  if (value.is_number()) return get<std::int64_t>(line, key);
  if (value.is_array() && !value.empty() && value[0].is_array()) return get<std::vector<vg::Pads>>(line, key);
  return get<std::vector<std::int64_t>>(line, key);
}

void set_spatial(Conv3dProblem& p, const json& line, const vg::Size& in) {
  vg::Conv3dArgs args;
  args.stride = triple(line, "stride");
  args.lhs_dilation = triple(line, "lhs_dilation");
  args.rhs_dilation = triple(line, "rhs_dilation");
  const vg::Triple size{in[0], in[1], in[2]}, kernel = triple(line, "kernel_size");
  const vg::Padding given = padding(line);
  given.check("problem");
  args.padding = given.resolve(size, vg::dilated(kernel, args.rhs_dilation), args.stride);
  const vg::Triple out = vg::conv3d_out_size(size, kernel, args);
  for (std::size_t a = 0; a < 3; ++a) {
    p.in_size[a] = size[a];
    p.out_size[a] = out[a];
    p.kernel_size[a] = kernel[a];
    p.stride[a] = args.stride[a];
    p.pad[a] = args.padding[a].first;
    p.lhs_dilation[a] = args.lhs_dilation[a];
    p.rhs_dilation[a] = args.rhs_dilation[a];
  }
}

void check_channels(const Conv3dProblem& p) {
  if (p.batch < 1) throw vg::ValueError(fmt::format("[problem] batch: got {}; must be at least 1", p.batch));
  if (p.out_channels < 1)
    throw vg::ValueError(fmt::format("[problem] out_channels: got {}; must be at least 1", p.out_channels));
  if (p.groups < 1 || p.in_channels % p.groups != 0 || p.out_channels % p.groups != 0)
    throw vg::ValueError(fmt::format("[problem] groups: got {}; must divide the {} input and {} output channels",
                                     p.groups, p.in_channels, p.out_channels));
}

}  // namespace

Problem parse_problem(const std::string& text) {
  const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
  check_keys(line);
  Problem problem{get<std::string>(line, "name"), get<std::string>(line, "dtype", "f32"), {}};
  const auto in = get<vg::Size>(line, "in_size");
  vg::check_size("problem", in, 4);
  if (*std::min_element(in.begin(), in.end()) < 1)
    throw vg::ValueError("[problem] in_size: every extent must be at least 1");
  if (!line.contains("kernel_size")) throw vg::ValueError("[problem] kernel_size: is missing");
  Conv3dProblem& p = problem.sizes;
  p.batch = get<std::int64_t>(line, "batch", 1);
  p.in_channels = in[3];
  p.out_channels = get<std::int64_t>(line, "out_channels");
  p.groups = get<std::int64_t>(line, "groups", 1);
  check_channels(p);
  set_spatial(p, line, in);
  if (y_size(p) == 0)
    throw vg::ValueError("[problem] kernel_size: is larger than the padded input, so there is no output");
  return problem;
}

double flops(const Conv3dProblem& p) {
  double product = 2.0 * static_cast<double>(p.batch * p.out_channels * (p.in_channels / p.groups));
  for (int a = 0; a < 3; ++a)
    product *= static_cast<double>(p.out_size[a] * p.kernel_size[a]) / static_cast<double>(p.lhs_dilation[a]);
  return product;
}

int with_problems(const std::string& path, const std::function<int(std::istream&)>& answer) {
  try {
    if (path == "-") return answer(std::cin) == 0 ? 0 : 1;
    std::ifstream file(path);
    if (!file) throw vg::IoError(fmt::format("cannot read {}", path));
    return answer(file) == 0 ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());  // fmt::print may throw
    return 1;
  }
}

}  // namespace bench
