// Compares ops that move elements with plain index loops.
#include <catch2/catch.hpp>

#include "support/plain.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

using namespace vg;
using namespace vg::test;

namespace {

const std::vector<Shape> shapes{{2, 3, 4}, {5}, {1, 6}, {3, 1, 2, 5}, {130, 70}, {70, 3, 130}, {2, 200, 90, 3}, {0, 4}};

Tensor values(const Shape& shape, std::uint64_t seed) { return numbers(shape, f32, seed, -100, 100); }

}  // namespace

TEST_CASE("reshape shares the memory", "[ops][shape]") {
  const Variable x(values({2, 3, 4}, 1));
  CHECK(reshape(x, {4, -1}).shape() == Shape{4, 6});
  CHECK(reshape(x, {24}).value().raw() == x.value().raw());
  CHECK(expand_dims(x, 0).shape() == Shape{1, 2, 3, 4});
  CHECK(expand_dims(x, -1).shape() == Shape{2, 3, 4, 1});
  CHECK(squeeze(expand_dims(x, 2), 2).shape() == x.shape());
  CHECK_THROWS_AS(reshape(x, {5, -1}), ValueError);
  CHECK_THROWS_AS(reshape(x, {-1, -1}), ValueError);
  CHECK_THROWS_AS(reshape(x, {25}), ValueError);
  CHECK_THROWS_AS(reshape(x, {-2, 12}), ValueError);
  CHECK_THROWS_WITH(squeeze(x, 1), Catch::StartsWith("[squeeze] axis: got 1"));
  CHECK_THROWS_AS(expand_dims(x, 4), ValueError);
}

TEST_CASE("transpose moves every element to its place", "[ops][shape]") {
  for (const Shape& shape : shapes) {
    std::vector<int> order;
    for (int i = 0; i < shape.rank(); ++i) order.push_back(i);
    const Tensor x = values(shape, 2), whole = x.to(i32), wide = x.to(f64);
    do {
      CAPTURE(shape.str(), order);
      Shape out;
      for (int axis : order) out.push_back(shape.at(axis));
      const Tensor expected = build(out, [&](const Index& i) {
        Index from(i.size());
        for (std::size_t d = 0; d < i.size(); ++d) from[static_cast<std::size_t>(order[d])] = i[d];
        return at(x, from);
      });
      CHECK(distance(transpose(x, order).value(), expected) == 0);
      CHECK(distance(transpose(wide, order).value(), expected) == 0);
      CHECK(same_bits(transpose(whole, order).value(), expected.to(i32)));
    } while (std::next_permutation(order.begin(), order.end()));
  }
  const Variable x(values({2, 3}, 1));
  CHECK(transpose(x).shape() == Shape{3, 2});
  CHECK(same_bits(transpose(x, {-1, -2}).value(), transpose(x).value()));
  CHECK_THROWS_WITH(transpose(x, {0}), Catch::StartsWith("[transpose] axes: got 1 entries"));
  CHECK_THROWS_WITH(transpose(x, {0, 0}), Catch::StartsWith("[transpose] axes: got axis 0 twice"));
  CHECK_THROWS_AS(transpose(x, {0, 2}), ValueError);
}

TEST_CASE("broadcast_to repeats", "[ops][shape]") {
  for (const auto& [from, to] : std::vector<std::pair<Shape, Shape>>{{{}, {2, 3}},
                                                                     {{3}, {2, 3}},
                                                                     {{2, 1}, {2, 40000}},
                                                                     {{40000, 1, 1}, {40000, 3, 2}},
                                                                     {{1, 5, 1}, {3, 2, 5, 4}},
                                                                     {{1}, {0}}}) {
    const Tensor x = values(from, 3);
    CHECK(distance(broadcast_to(x, to).value(), build(to, [&](const Index& i) { return at(x, i); })) == 0);
  }
  CHECK_THROWS_WITH(broadcast_to(values({2}, 1), {3}), Catch::StartsWith("[broadcast_to]"));
  CHECK(broadcast_to(values({2, 1}, 1), {3, -1, 4}).shape() == Shape{3, 2, 4});  // -1 keeps the extent
  CHECK_THROWS_WITH(broadcast_to(values({2}, 1), {-1, 2}), Catch::Contains("extent of axis 0: got -1"));
  CHECK_THROWS_AS(broadcast_to(values({3}, 1), {1}), ValueError);
  CHECK_THROWS_AS(broadcast_to(values({1, 3}, 1), {3}), ValueError);
}

TEST_CASE("slice follows numpy", "[ops][shape]") {
  const Tensor x = Tensor::arange(10, f64);
  const auto sliced = [&](Slice s) { return slice(x, 0, s).value().values(); };
  using List = std::vector<double>;
  CHECK(sliced({2, 5}) == List{2, 3, 4});
  CHECK(sliced({-3}) == List{7, 8, 9});
  CHECK(sliced({0, -8}) == List{0, 1});
  CHECK(sliced({1, INT64_MAX, 4}) == List{1, 5, 9});
  CHECK(sliced({-100, 100, 5}) == List{0, 5});
  CHECK(sliced({5, 2}) == List{});
  CHECK(sliced({20}) == List{});
  CHECK(sliced({INT64_MIN, INT64_MAX, INT64_MAX}) == List{0});
  Dice dice(4);
  for (const Shape& shape : shapes)
    for (int round = 0; round < 20; ++round) {
      const Tensor y = values(shape, 4);
      std::vector<Slice> slices;
      Shape out;
      for (std::int64_t e : shape) {
        const std::int64_t start = dice.roll(0, e), stop = dice.roll(start, e), step = dice.roll(1, 3);
        slices.push_back({start, stop, step});
        out.push_back((stop - start + step - 1) / step);
      }
      CHECK(distance(slice(y, slices).value(), build(out, [&](const Index& i) {
                       Index from;
                       for (std::size_t d = 0; d < i.size(); ++d)
                         from.push_back(slices[d].start + i[d] * slices[d].step);
                       return at(y, from);
                     })) == 0);
    }
  CHECK_THROWS_WITH(slice(x, 0, {.step = 0}), Catch::StartsWith("[slice] step of axis 0: got 0"));
  CHECK_THROWS_AS(slice(x, 1, {}), ValueError);
  CHECK_THROWS_WITH(slice(x, {{}, {}}), Catch::StartsWith("[slice] slices: got 2"));
}

TEST_CASE("pad surrounds and crops", "[ops][shape]") {
  Dice dice(5);
  for (const Shape& shape : shapes)
    for (int round = 0; round < 20; ++round) {
      const Tensor x = values(shape, 5);
      std::vector<std::pair<std::int64_t, std::int64_t>> widths;
      Shape out;
      for (std::int64_t e : shape) {
        const std::int64_t before = dice.roll(-2, 3), after = std::max(dice.roll(-2, 3), -e - before);
        widths.emplace_back(before, after);
        out.push_back(e + before + after);
      }
      CAPTURE(shape.str(), widths);
      CHECK(distance(pad(x, widths, 7).value(), build(out, [&](const Index& i) {
                       Index from;
                       for (std::size_t d = 0; d < i.size(); ++d) {
                         from.push_back(i[d] - widths[d].first);
                         if (from[d] < 0 || from[d] >= shape[d]) return 7.0;
                       }
                       return at(x, from);
                     })) == 0);
    }
  const Variable x(values({3}, 1));
  CHECK_THROWS_WITH(pad(x, {}), Catch::StartsWith("[pad] widths: got 0"));
  CHECK_THROWS_WITH(pad(x, {{-2, -2}}), Catch::StartsWith("[pad] widths of axis 0: got (-2, -2)"));
  CHECK_THROWS_AS(pad(x, {{INT64_MAX, 1}}), ValueError);
  CHECK_THROWS_AS(pad(x, {{INT64_MIN, INT64_MAX}}), ValueError);
  CHECK_THROWS_AS(pad(x, {{1 - INT64_MAX, INT64_MAX}}), ValueError);
  CHECK_THROWS_AS(pad(cast(x, i32), {{1, 1}}, 0.5), ValueError);
}

TEST_CASE("concat joins, and its gradient splits", "[ops][shape]") {
  const Variable a(values({2, 1, 3}, 1), true), b(values({2, 4, 3}, 2), true), none(values({2, 0, 3}, 3));
  const Variable y = concat({a, none, b, a}, -2);
  REQUIRE(y.shape() == Shape{2, 6, 3});
  CHECK(same_bits(slice(y, 1, {0, 1}).value(), a.value()));
  CHECK(same_bits(slice(y, 1, {1, 5}).value(), b.value()));
  CHECK(same_bits(slice(y, 1, {5, 6}).value(), a.value()));
  CHECK(gradients(sum(y), {a})[0].value().values() == std::vector<double>(6, 2.0));
  CHECK_THROWS_WITH(concat({}, 0), Catch::StartsWith("[concat] parts"));
  CHECK_THROWS_WITH(concat({a, Variable(values({2, 1, 4}, 1))}, 1),
                    Catch::StartsWith("[concat] parts: number 1 has shape (2, 1, 4)"));
  CHECK_THROWS_AS(concat({a, Variable(values({2, 1}, 1))}, 1), ValueError);
  CHECK_THROWS_AS(concat({a, cast(a, f64)}, 1), TypeError);
  CHECK_THROWS_AS(concat({a}, 3), ValueError);
}

TEST_CASE("gather selects, and scatter_add is its adjoint", "[ops][shape]") {
  Dice dice(6);
  for (const Shape& shape : shapes)
    for (int axis = 0; axis < shape.rank(); ++axis)
      for (const Shape& picked : {Shape{}, Shape{4}, Shape{2, 3}, Shape{0}}) {
        const std::int64_t extent = shape.at(axis);
        if (extent == 0 && picked != Shape{0}) continue;
        if (shape.rank() + picked.rank() - 1 > Shape::max_rank) continue;
        Tensor indices(picked, i32);
        for (std::int64_t i = 0; i < indices.numel(); ++i)
          indices.data<std::int32_t>()[i] = static_cast<std::int32_t>(dice.roll(-extent, extent - 1));
        CAPTURE(shape.str(), axis, picked.str());
        const Tensor x = numbers(shape, f64, 6);
        const Variable y = gather(x, indices, axis);
        const auto a = static_cast<std::size_t>(axis);
        CHECK(distance(y.value(), build(y.shape(), [&](const Index& i) {
                         Index where(i.begin() + axis, i.begin() + axis + picked.rank()),
                             from(i.begin(), i.begin() + axis);
                         const auto k = static_cast<std::int64_t>(at(indices, where));
                         from.push_back(k < 0 ? k + extent : k);
                         from.insert(from.end(), i.begin() + axis + picked.rank(), i.end());
                         return at(x, from);
                       })) == 0);
        const Tensor g = numbers(y.shape(), f64, 7);
        const Variable back = scatter_add(g, indices, axis, extent);
        REQUIRE(back.shape() == shape);
        CHECK(back.shape()[a] == extent);
        CHECK(sum(back * x).item() == Approx(sum(y * g).item()).margin(1e-9));
      }
}

TEST_CASE("gather and scatter_add refuse bad arguments and name the place", "[ops][shape]") {
  const Variable x(values({2, 3}, 1));
  CHECK_THROWS_WITH(gather(x, Tensor::of<std::int32_t>({2}, {0, 3}), 1),
                    Catch::StartsWith("[gather] indices: got 3 at position 1"));
  CHECK_THROWS_WITH(gather(x, Tensor::of<std::int32_t>({1}, {-3}), 0),
                    Catch::StartsWith("[gather] indices: got -3 at position 0"));
  CHECK_THROWS_AS(gather(x, Tensor::zeros({2}), 0), TypeError);
  CHECK_THROWS_AS(gather(x, Tensor(), 0), TypeError);
  CHECK_THROWS_AS(gather(x, Tensor::zeros({2}, i32), 2), ValueError);
  const Tensor two = Tensor::zeros({2}, i32);
  CHECK_THROWS_AS(scatter_add(x, two, 0, -1), ValueError);
  CHECK_THROWS_AS(scatter_add(x, two, 1, 4), ValueError);  // axis 1 has 3 entries
  CHECK_THROWS_AS(scatter_add(x, two, 2, 4), ValueError);
  CHECK_THROWS_AS(scatter_add(x, Tensor::zeros({2, 3, 1, 1}, i32), 0, 4), ValueError);
  CHECK_THROWS_AS(scatter_add(x, Tensor::full({2}, 4, i32), 0, 4), ValueError);
}

TEST_CASE("flip and roll", "[ops][shape]") {
  Dice dice(8);
  for (const Shape& shape : shapes) {
    const Tensor x = values(shape, 8);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const auto a = static_cast<std::size_t>(axis);
      CHECK(distance(flip(x, {axis}).value(), build(shape, [&](Index i) {
                       i[a] = shape[a] - 1 - i[a];
                       return at(x, i);
                     })) == 0);
      const std::int64_t shift = dice.roll(-500, 500);
      CHECK(distance(roll(x, {shift}, {axis}).value(), build(shape, [&](Index i) {
                       i[a] = ((i[a] - shift) % shape[a] + shape[a]) % shape[a];
                       return at(x, i);
                     })) == 0);
    }
  }
  const Variable x(values({2, 3}, 1));
  CHECK(same_bits(flip(flip(x, {0, 1}), {-1, -2}).value(), x.value()));
  CHECK(same_bits(roll(x, {1, 1}, {1, 1}).value(), roll(x, {2}, {1}).value()));
  CHECK_THROWS_WITH(flip(x, {1, -1}), Catch::StartsWith("[flip] axes: got axis 1 twice"));
  CHECK_THROWS_AS(flip(x, {2}), ValueError);
  CHECK_THROWS_AS(roll(x, {1}, {0, 1}), ValueError);
  CHECK_THROWS_AS(roll(x, {1}, {2}), ValueError);
}

// Found by a fuzzer: the product of the other extents overflowed.
TEST_CASE("transpose: no elements, with any other extents", "[ops][shape]") {
  constexpr std::int64_t huge = std::int64_t{1} << 33;
  const vg::Variable x(vg::Tensor::zeros({0, huge, huge, 3}, vg::f32));
  CHECK(vg::transpose(x, {0, 3, 1, 2}).shape() == vg::Shape({0, 3, huge, huge}));
}
