#include "segment_brain/report.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "segment_brain/png.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"

namespace {

// Background, then one colour per class: the palette of Okabe and Ito, which colour-blind people can distinguish.
constexpr std::uint8_t colours[8][3] = {{0, 0, 0},      {230, 159, 0}, {86, 180, 233}, {0, 158, 115},
                                        {240, 228, 66}, {0, 114, 178}, {213, 94, 0},   {204, 121, 167}};

std::string css_colour(std::size_t c) {
  return fmt::format("rgb({},{},{})", colours[c][0], colours[c][1], colours[c][2]);
}

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out.push_back(c);
  }
  return out;
}

struct Curve {
  std::string label, colour;
  std::vector<std::pair<double, double>> points;
  double width = 1.2;
};

// An SVG chart with 5 horizontal lines; y from 0 to `top`.
std::string chart(const std::string& title, const std::vector<Curve>& curves, double top) {
  constexpr double w = 520, h = 260, left = 44, bottom = 26;
  double last = 1;
  for (const Curve& c : curves)
    for (const auto& p : c.points) last = std::max(last, p.first);
  const auto x = [&](double v) { return left + v / last * (w - left - 8); };
  const auto y = [&](double v) { return h - bottom - std::clamp(v / top, 0.0, 1.0) * (h - bottom - 24); };
  std::string svg =
      fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'><text x='{}' y='14' class='t'>{}</text>", w, h,
                  title, left, title);
  for (int i = 0; i <= 4; ++i) {
    const double v = top * i / 4;
    svg += fmt::format(
        "<line x1='{0}' x2='{1}' y1='{2:.1f}' y2='{2:.1f}' class='g'/><text x='{3}' y='{4:.1f}' class='a' "
        "text-anchor='end'>{5:g}</text>",
        left, w - 8, y(v), left - 5, y(v) + 4, v);
  }
  for (int i = 0; i <= 4; ++i)
    svg += fmt::format("<text x='{:.1f}' y='{}' class='a' text-anchor='{}'>{:.0f}</text>", x(last * i / 4), h - 8,
                       i < 4 ? "middle" : "end", last * i / 4);
  for (const Curve& c : curves) {
    std::string points;
    for (const auto& p : c.points) points += fmt::format("{:.1f},{:.1f} ", x(p.first), y(p.second));
    svg += fmt::format("<polyline points='{}' fill='none' stroke='{}' stroke-width='{}'><title>{}</title></polyline>",
                       points, c.colour, c.width, escaped(c.label));
  }
  return svg + "</svg>";
}

std::string loss_chart(const History& history) {
  Curve curve{"loss", "#0072b2", {}};
  double top = 0.1;
  for (std::size_t i = 0; i < history.loss.size(); ++i) {
    if (!std::isfinite(history.loss[i])) continue;
    curve.points.emplace_back(static_cast<double>(i + 1), history.loss[i]);
    top = std::max(top, history.loss[i]);
  }
  return chart("Training loss (cross-entropy + soft Dice) by step", {curve}, std::ceil(top * 2) / 2);
}

std::string dice_chart(const Report& r) {
  std::vector<Curve> curves;
  for (std::size_t c = 1; c < r.classes.size(); ++c) curves.push_back({r.classes[c], css_colour(c), {}});
  Curve mean{"mean", "#000", {}, 2.5};
  for (const History::Evaluation& e : r.history.evaluations) {
    for (std::size_t c = 0; c < e.dice.size(); ++c)
      curves[c].points.emplace_back(static_cast<double>(e.step), e.dice[c]);
    mean.points.emplace_back(static_cast<double>(e.step), e.mean());
  }
  curves.push_back(mean);
  return chart("Held-out Dice by step (black: mean)", curves, 1);
}

std::string table(const Report::Rows& rows) {
  std::string html = "<table>";
  for (const auto& [name, value] : rows)
    html += fmt::format("<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
  return html + "</table>";
}

std::string dice_table(const Report& r) {
  std::string html = "<table><tr><th>class</th><th></th><th>Dice</th></tr>";
  const History::Evaluation& last = r.history.evaluations.back();
  for (std::size_t c = 1; c < r.classes.size(); ++c)
    html += fmt::format("<tr><td>{}</td><td><span class='k' style='background:{}'></span></td><td>{:.3f}</td></tr>",
                        escaped(r.classes[c]), css_colour(c), last.dice[c - 1]);
  return html + fmt::format("<tr><th>mean</th><th></th><th>{:.3f}</th></tr></table>", last.mean());
}

// A plane of the volume: `axis` fixed at `index`, the other two as x (left to right) and y (bottom to top).
struct Plane {
  const Report& report;
  int axis;
  std::int64_t index;
  int across() const { return axis == 0 ? 1 : 0; }
  int up() const { return axis == 2 ? 1 : 2; }
  std::int64_t offset(std::int64_t x, std::int64_t y) const {
    std::int64_t at[3] = {};
    at[axis] = index, at[across()] = x, at[up()] = y;
    const vg::Shape& s = report.image.shape();
    return (at[0] * s[1] + at[1]) * s[2] + at[2];
  }
};

std::string picture(const Plane& plane, const vg::Tensor* labels, double white) {
  constexpr int zoom = 4;
  const std::int64_t w = plane.report.image.dim(plane.across()), h = plane.report.image.dim(plane.up());
  Picture p(static_cast<int>(w) * zoom, static_cast<int>(h) * zoom);
  const float* image = plane.report.image.data<float>();
  for (int y = 0; y < p.height; ++y)
    for (int x = 0; x < p.width; ++x) {
      const std::int64_t o = plane.offset(x / zoom, h - 1 - y / zoom);
      const double grey = std::clamp(image[o] / white, 0.0, 1.0) * 255;
      const std::int32_t label = labels == nullptr ? 0 : labels->data<std::int32_t>()[o];
      for (int k = 0; k < 3; ++k)
        p.at(x, y)[k] = static_cast<std::uint8_t>(label == 0 ? grey : 0.45 * grey + 0.55 * colours[label][k]);
    }
  return fmt::format("<img alt='' src='{}'>", png_data_uri(p));
}

std::string slices(const Report& r) {
  std::string html = "<table class='s'><tr><th>MRI</th><th>truth</th><th>prediction</th></tr>";
  std::vector<float> sorted(r.image.data<float>(), r.image.data<float>() + r.image.numel());
  const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() * 99 / 100);
  std::nth_element(sorted.begin(), nth, sorted.end());
  const double white = std::max(static_cast<double>(*nth), 1e-6);
  const char* names[3] = {"sagittal", "coronal", "axial"};
  const std::pair<int, double> planes[] = {{2, 0.4}, {2, 0.6}, {1, 0.4},
                                           {1, 0.6}, {0, 0.2}, {0, 0.4}};  // axis, and position along it as a fraction
  for (const auto& [axis, part] : planes) {
    const auto index = static_cast<std::int64_t>(part * static_cast<double>(r.image.dim(axis)));
    const Plane plane{r, axis, index};
    html += fmt::format("<tr><td>{0}</td><td>{1}</td><td>{2}</td><td class='a'>{3} {4}</td></tr>",
                        picture(plane, nullptr, white), picture(plane, &r.truth, white),
                        picture(plane, &r.prediction, white), names[axis], index);
  }
  return html + "</table>";
}

constexpr const char* style =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:1.8em}.row{display:flex;flex-wrap:wrap;gap:2em}.row>*{flex:1 1 "
    "30em}"
    "table{border-collapse:collapse}th,td{text-align:left;padding:.15em .8em .15em 0;vertical-align:top}"
    ".k{display:inline-block;width:1em;height:1em}.t{font-size:13px;font-weight:600}.a{font-size:11px;fill:#555;color:#"
    "555}.g{stroke:#ddd}"
    ".s img{display:block;image-rendering:pixelated;max-width:100%}svg{max-width:100%}";

}  // namespace

void write_report(const std::string& path, const Report& r) {
  std::ostringstream file;
  file << "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' "
          "content='width=device-width'><title>segment_brain</title><style>"
       << style << "</style><h1>Brain regions of a half that was never trained on: mean Dice "
       << fmt::format("{:.3f}", r.history.evaluations.back().mean())
       << "</h1><p>A 3-D U-Net, trained by voxgrad on one hemisphere of a T1 MRI and tested on the other, mirrored. "
          "The figures count only the held-out half: in "
          "the slices below, the left one of the axial and coronal pictures, and all of the sagittal ones.</p><div "
          "class='row'><div>"
       << loss_chart(r.history) << "</div><div>" << dice_chart(r) << "</div></div><h2>Held-out Dice</h2>"
       << dice_table(r) << "<h2>Slices</h2>" << slices(r) << "<div class='row'><div><h2>Configuration</h2>"
       << table(r.configuration) << "</div><div><h2>Machine</h2>" << table(r.machine) << "</div></div></html>\n";
  vg::AtomicFile whole("[report]", path);
  whole.put(file.str());
  whole.commit();
}

Report::Rows describe_machine() {
  std::string cpu = "unknown", line;
  for (std::ifstream info("/proc/cpuinfo"); std::getline(info, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
      cpu = line.substr(line.find(": ") + 2);
      break;
    }
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  return {{"CPU", cpu},
          {"cores", fmt::format("{}", sysconf(_SC_NPROCESSORS_ONLN))},
          {"threads used", fmt::format("{}", vg::num_threads())},
          {"kernel set", vg::kernel_set()},
          {"memory", fmt::format("{:.1f} GiB", memory / 1073741824)}};
}
