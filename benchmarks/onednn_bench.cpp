// Times oneDNN's convolution on problems from stdin, which compare writes. Answers each with a JSON line of times in
// ms. usage: onednn_bench [SECONDS]. It runs with channels-last tensors and with layouts that oneDNN chooses, without
// counting reorders; the shorter time of the two counts. compare builds it against PyPI's onednn (on a SYCL CPU
// device); the constructors of Debian's libdnnl-dev (2.6) differ.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include <dnnl.hpp>

namespace {

using dnnl::memory;
using dims = memory::dims;
using desc = memory::desc;
using tag = memory::format_tag;
using data_type = memory::data_type;
using Times = std::map<std::string, double>;

double shortest_ms(const std::function<void()>& call, double seconds) {
  using clock = std::chrono::steady_clock;
  const auto since = [](clock::time_point t) { return std::chrono::duration<double>(clock::now() - t).count(); };
  call();
  call();
  double best = 1e30;
  const auto start = clock::now();
  for (int n = 0; n < 2000 && since(start) < 5 && (since(start) < seconds || n < 3); ++n) {
    const auto begin = clock::now();
    call();
    best = std::min(best, since(begin));
  }
  return best * 1e3;
}

// A line has name, dtype (f32 or bf16), batch, in_size, input and output channels, kernel_size, stride, padding
// (before, after) per axis, rhs_dilation, groups, lhs_dilation, out_size.
struct Problem {
  std::string name;
  data_type type;
  memory::dim batch, ci, co, groups;
  dims in, kernel, stride, before, after, dilation, inserted, out;
};

Problem parse(const std::string& line) {
  std::istringstream in(line);
  const auto three = [&in](dims& v) {
    v.resize(3);
    for (auto& e : v) in >> e;
  };
  Problem p;
  std::string dtype;
  in >> p.name >> dtype >> p.batch;
  p.type = dtype == "bf16" ? data_type::bf16 : data_type::f32;
  three(p.in);
  in >> p.ci >> p.co;
  three(p.kernel);
  three(p.stride);
  p.before.resize(3);
  p.after.resize(3);
  for (int i = 0; i < 3; ++i) in >> p.before[i] >> p.after[i];
  three(p.dilation);
  in >> p.groups;
  three(p.inserted);
  three(p.out);
  return p;
}

class Bench {
 public:
  explicit Bench(double seconds) : seconds_(seconds) {}

  Times measure(const Problem& p) {
    using namespace dnnl;
    times_.clear();
    for (const tag layout : {tag::ndhwc, tag::any}) {
      if (p.inserted == dims{1, 1, 1})
        passes<convolution_forward, convolution_backward_data, convolution_backward_weights>(
            p, layout, algorithm::convolution_direct, {p.stride, p.before, p.after});
      else if (p.stride == dims{1, 1, 1})
        passes<deconvolution_forward, deconvolution_backward_data, deconvolution_backward_weights>(
            p, layout, algorithm::deconvolution_direct, deconvolution_window(p));
    }
    return times_;
  }

 private:
  struct Window {
    dims stride, before, after;
  };
  // lhs_dilation is the stride of a deconvolution; its padding is the kernel's extent beyond the convolution's padding.
  static Window deconvolution_window(const Problem& p) {
    Window window{p.inserted, dims(3), dims(3)};
    for (int i = 0; i < 3; ++i) {
      const auto reach = (p.kernel[i] - 1) * p.dilation[i];
      window.before[i] = reach - p.before[i];
      window.after[i] = reach - p.after[i];
    }
    return window;
  }

  template <class Forward, class BackwardData, class BackwardWeights>
  void passes(const Problem& p, tag layout, dnnl::algorithm algorithm, const Window& v) {
    const desc x({p.batch, p.ci, p.in[0], p.in[1], p.in[2]}, p.type, layout);
    const desc y({p.batch, p.co, p.out[0], p.out[1], p.out[2]}, p.type, layout);
    const auto g = p.groups;
    const dims dense{p.co, p.ci, p.kernel[0], p.kernel[1], p.kernel[2]},
        grouped{g, p.co / g, p.ci / g, p.kernel[0], p.kernel[1], p.kernel[2]};
    const desc w(g > 1 ? grouped : dense, p.type, tag::any);
    const dims between{p.dilation[0] - 1, p.dilation[1] - 1,
                       p.dilation[2] - 1};  // oneDNN counts the elements between two taps
    const auto forward = [&] {
      return typename Forward::primitive_desc(engine_, dnnl::prop_kind::forward_training, algorithm, x, w, y, v.stride,
                                              between, v.before, v.after);
    };
    attempt(p, [&] {
      const auto d = forward();
      time("forward", Forward(d),
           {{DNNL_ARG_SRC, d.src_desc()}, {DNNL_ARG_WEIGHTS, d.weights_desc()}, {DNNL_ARG_DST, d.dst_desc()}});
    });
    attempt(p, [&] {
      const typename BackwardData::primitive_desc d(engine_, algorithm, x, w, y, v.stride, between, v.before, v.after,
                                                    forward());
      time("grad_input", BackwardData(d),
           {{DNNL_ARG_DIFF_SRC, d.diff_src_desc()},
            {DNNL_ARG_WEIGHTS, d.weights_desc()},
            {DNNL_ARG_DIFF_DST, d.diff_dst_desc()}});
    });
    attempt(p, [&] {
      const typename BackwardWeights::primitive_desc d(engine_, algorithm, x, w, y, v.stride, between, v.before,
                                                       v.after, forward());
      time("grad_weight", BackwardWeights(d),
           {{DNNL_ARG_SRC, d.src_desc()},
            {DNNL_ARG_DIFF_WEIGHTS, d.diff_weights_desc()},
            {DNNL_ARG_DIFF_DST, d.diff_dst_desc()}});
    });
  }

  // A pass that oneDNN does not support has no time.
  template <class Pass>
  static void attempt(const Problem& p, Pass pass) {
    try {
      pass();
    } catch (const dnnl::error& e) {
      if (e.status != dnnl_unimplemented) std::fprintf(stderr, "oneDNN, %s: %s\n", p.name.c_str(), e.what());
    }
  }

  void time(const char* pass, const dnnl::primitive& p, const std::vector<std::pair<int, desc>>& args) {
    std::unordered_map<int, memory> tensors;
    for (const auto& [arg, d] : args) {
      memory m(d, engine_);
      fill(m);
      tensors.emplace(arg, m);
    }
    const double ms = shortest_ms(
        [&] {
          p.execute(stream_, tensors);
          stream_.wait();
        },
        seconds_);
    const auto at = times_.emplace(pass, ms).first;
    at->second = std::min(at->second, ms);
  }

  // A bf16 is the upper half of a float.
  static void fill(memory& m) {
    const std::size_t bytes = m.get_desc().get_size();
    char* const data = static_cast<char*>(m.get_data_handle());
    const std::size_t width = m.get_desc().get_data_type() == data_type::bf16 ? 2 : 4;
    for (std::size_t i = 0; i < bytes / width; ++i) {
      const float value = 0.01F * static_cast<float>(static_cast<int>(i % 17) - 8);
      std::memcpy(data + i * width, reinterpret_cast<const char*>(&value) + 4 - width, width);
    }
  }

  double seconds_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  Times times_;
};

}  // namespace

int main(int argc, char** argv) {
  Bench bench(argc > 1 ? std::atof(argv[1]) : 0.25);
  for (std::string line; std::getline(std::cin, line);) {
    std::string out;
    for (const auto& [pass, ms] : bench.measure(parse(line)))
      out += (out.empty() ? "\"" : ", \"") + pass + "\": " + std::to_string(ms);
    std::printf("{%s}\n", out.c_str());
    std::fflush(stdout);
  }
}
