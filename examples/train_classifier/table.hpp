// The confusion of a classifier as text.
#pragma once

#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

/// One line per class: the number of samples, precision, recall, and the wrong class that was predicted most often. A
/// ratio with a zero denominator is a dash. `confusion` is that of vg::MetricValues.
std::string table(const vg::Tensor& confusion, const std::vector<std::string>& classes);
/// The fraction of samples in the most frequent class: the accuracy of always predicting it.
double commonest(const vg::Tensor& confusion);
