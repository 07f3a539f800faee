// What a classifier takes for what, as text.
#pragma once

#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

/// A line a class: how many samples it has, precision, recall, and what else its samples were taken for most often. A
/// share of nothing is a dash. `confusion` is vg::MetricValues'.
std::string table(const vg::Tensor& confusion, const std::vector<std::string>& classes);
/// The share of samples of the class that most of them have: what naming it always would score.
double commonest(const vg::Tensor& confusion);
