// Divides the products of a stage into batches; each batch is one call, with prefetching between calls. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg::kernels::winograd {

/// The points [point, point + count) of a tile. Their products, or sums of them, begin at number `value` of the stage.
struct ProductBatch {
  int point, count, value;
};

class ProductBatches {
 public:
  /// `folded`: one batch per slice of wide tiles (ProductArgs). Otherwise a batch has at most `at_once` points.
  ProductBatches(const Points& points, int slices_per_stage, bool folded, int at_once) : of_pass_(slices_per_stage) {
    for (int slice = 0; slice < points.slices(); slice += of_pass_) {
      std::vector<ProductBatch> batches;
      int value = 0;
      for (int s = slice; s < slice + of_pass_; ++s)
        if (folded)
          value = add_fold(points, s, value, batches);
        else
          value = add_points(points, s, value, at_once, batches);
      values_ = std::max(values_, value);
      passes_.push_back(std::move(batches));
    }
  }
  /// The batches of the stage that begins with `slice`.
  const std::vector<ProductBatch>& slices_per_stage(int slice) const {
    return passes_[static_cast<std::size_t>(slice / of_pass_)];
  }
  /// The number of products or sums that are stored, in the stage with the most.
  int values() const { return values_; }

 private:
  static int add_fold(const Points& points, int slice, int value, std::vector<ProductBatch>& to) {
    const int count = points.points(slice, 1);
    to.push_back({points.before(slice), count, value});
    return value + wide::sums_of(count);
  }
  static int add_points(const Points& points, int slice, int value, int at_once, std::vector<ProductBatch>& to) {
    const int before = points.before(slice), count = points.points(slice, 1);
    for (int point = 0; point < count; point += at_once)
      to.push_back({before + point, std::min(at_once, count - point), value + point});
    return value + count;
  }

  int of_pass_, values_ = 0;
  std::vector<std::vector<ProductBatch>> passes_;
};

}  // namespace vg::kernels::winograd
