#include "train_classifier/table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace {

struct Counts {
  const vg::Tensor& confusion;
  std::int64_t classes = confusion.dim(0);

  double at(std::int64_t label, std::int64_t predicted) const {
    return confusion.value_at(label * classes + predicted);
  }
  double labelled(std::int64_t c) const {
    double sum = 0;
    for (std::int64_t k = 0; k < classes; ++k) sum += at(c, k);
    return sum;
  }
  double predicted(std::int64_t c) const {
    double sum = 0;
    for (std::int64_t k = 0; k < classes; ++k) sum += at(k, c);
    return sum;
  }
};

std::string share(double part, double whole) { return whole > 0 ? fmt::format("{:.3f}", part / whole) : "-"; }

// "cone 3": the class that was predicted most often instead, and how often.
std::string confused_with(const Counts& counts, std::int64_t c, const std::vector<std::string>& classes) {
  std::int64_t most = -1;
  for (std::int64_t k = 0; k < counts.classes; ++k)
    if (k != c && counts.at(c, k) > (most < 0 ? 0 : counts.at(c, most))) most = k;
  return most < 0 ? "-" : fmt::format("{} {:.0f}", classes[static_cast<std::size_t>(most)], counts.at(c, most));
}

}  // namespace

std::string table(const vg::Tensor& confusion, const std::vector<std::string>& classes) {
  const Counts counts{confusion};
  std::size_t width = 5;
  for (const std::string& name : classes) width = std::max(width, name.size());
  std::string text = fmt::format("{:<{}}  samples  precision  recall  most taken for\n", "class", width);
  for (std::int64_t c = 0; c < counts.classes; ++c)
    text += fmt::format("{:<{}}  {:>7.0f}  {:>9}  {:>6}  {}\n", classes[static_cast<std::size_t>(c)], width,
                        counts.labelled(c), share(counts.at(c, c), counts.predicted(c)),
                        share(counts.at(c, c), counts.labelled(c)), confused_with(counts, c, classes));
  return text;
}

double commonest(const vg::Tensor& confusion) {
  const Counts counts{confusion};
  double most = 0, all = 0;
  for (std::int64_t c = 0; c < counts.classes; ++c) {
    most = std::max(most, counts.labelled(c));
    all += counts.labelled(c);
  }
  return all > 0 ? most / all : 0;
}
