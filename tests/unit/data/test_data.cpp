// Volumes, preprocessing, datasets and the loader. test_augment.cpp has augmentation and the shapes dataset.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "support/plain.hpp"
#include "voxgrad/data/data.hpp"
#include "voxgrad/framework/base/error.hpp"

using namespace vg;
using namespace vg::test;

namespace {

const Affine oblique = {0, 2, 0, -10, 3, 0, 0, 20, 0, 0, -4, 5, 0, 0, 0, 1};

/// n samples: x is (i, -i), y is i.
TensorDataset counted(std::int64_t n) {
  Tensor x({n, 2});
  Tensor y({n}, i32);
  for (std::int64_t i = 0; i < n; ++i) {
    x.data<float>()[2 * i] = static_cast<float>(i);
    x.data<float>()[2 * i + 1] = static_cast<float>(-i);
    y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i);
  }
  return TensorDataset(x, y);
}

}  // namespace

TEST_CASE("volume: block means and centres", "[data]") {
  const Volume v{numbered({5, 4, 7}), oblique};
  const Volume m = block_mean(v, {2, 2, 3});
  REQUIRE(m.data.shape() == Shape{2, 2, 2});
  for (std::int64_t i = 0; i < 2; ++i)
    for (std::int64_t j = 0; j < 2; ++j)
      for (std::int64_t k = 0; k < 2; ++k) {
        // The mean of a linear function is its value at the block's centre.
        CHECK(at(m.data, i, j, k) ==
              Approx(28 * (2.0 * static_cast<double>(i) + 0.5) + 7 * (2.0 * static_cast<double>(j) + 0.5) +
                     3.0 * static_cast<double>(k) + 1));
        CHECK(m.world(static_cast<double>(i), static_cast<double>(j), static_cast<double>(k)) ==
              v.world(2.0 * static_cast<double>(i) + 0.5, 2.0 * static_cast<double>(j) + 0.5,
                      3.0 * static_cast<double>(k) + 1));
      }
  CHECK(m.spacing() == std::array<double, 3>{6, 4, 12});
  const Volume c = block_center({numbered({5, 4, 7}, i32), oblique}, {2, 3, 3});
  CHECK(c.data.shape() == Shape{2, 1, 2});
  CHECK(c.data.dtype() == i32);
  CHECK(at(c.data, 1, 0, 1) == 28 * 3 + 7 * 1 + 4);
  CHECK(c.affine == block_mean(v, {2, 3, 3}).affine);
  CHECK(block_mean({numbered({2, 2, 2}, i32), oblique}, {2, 2, 2}).data.dtype() == f32);
  CHECK(block_mean({numbered({2, 2, 2}, f64), oblique}, {2, 2, 2}).data.item() == 3.5);
  const Volume channels = block_mean({numbered({2, 1, 2, 2}), oblique}, {2, 1, 2});
  CHECK(channels.data.values() == std::vector<double>{3, 4});
  CHECK(same_bits(block_mean(v, {1, 1, 1}).data, v.data));
  CHECK_THROWS_WITH(block_mean(v, {2, 5, 1}), Catch::Contains("[block_mean]") && Catch::Contains("W"));
  CHECK_THROWS_AS(block_center(v, {0, 1, 1}), ValueError);
  CHECK_THROWS_AS(block_mean({numbered({4, 4}), oblique}, {1, 1, 1}), ValueError);
  CHECK_THROWS_AS(block_mean(Volume{}, {1, 1, 1}), ValueError);
}

TEST_CASE("volume: crop, pad and flip keep each voxel's place in the world", "[data]") {
  const Volume v{numbered({4, 5, 6, 2}), oblique};
  const Volume c = crop(v, {1, 2, 3}, {2, 3, 1});
  CHECK(c.data.shape() == Shape{2, 3, 1, 2});
  CHECK(at(c.data, 1, 2, 0, 1) == at(v.data, 2, 4, 3, 1));
  CHECK(c.world(1, 2, 0) == v.world(2, 4, 3));
  const Volume p = pad(v, {1, 0, 2}, {0, 3, 1}, -1);
  CHECK(p.data.shape() == Shape{5, 8, 9, 2});
  CHECK(at(p.data, 4, 4, 7, 1) == at(v.data, 3, 4, 5, 1));
  CHECK(at(p.data, 0, 0, 2) == -1);
  CHECK(at(p.data, 1, 5, 2) == -1);
  CHECK(p.world(1, 0, 2) == v.world(0, 0, 0));
  CHECK(same_bits(crop(p, {1, 0, 2}, {4, 5, 6}).data, v.data));
  CHECK(crop(p, {1, 0, 2}, {4, 5, 6}).affine == v.affine);
  const Volume m = pad_to_multiple(v, {4, 4, 4});
  CHECK(m.data.shape() == Shape{4, 8, 8, 2});
  CHECK(m.affine == v.affine);
  CHECK(at(m.data, 3, 4, 5, 1) == at(v.data, 3, 4, 5, 1));
  CHECK(at(m.data, 0, 5, 0) == 0);
  for (const int axis : {0, 1, 2, -1}) {
    const Volume f = flip(v, axis);
    std::array<std::int64_t, 3> from = {1, 2, 3};
    const auto a = static_cast<std::size_t>((axis + 3) % 3);
    from[a] = v.data.dim(static_cast<int>(a)) - 1 - from[a];
    CHECK(at(f.data, 1, 2, 3, 1) == at(v.data, from[0], from[1], from[2], 1));
    CHECK(f.world(1, 2, 3) ==
          v.world(static_cast<double>(from[0]), static_cast<double>(from[1]), static_cast<double>(from[2])));
    CHECK(same_bits(flip(f, axis).data, v.data));
    CHECK(flip(f, axis).affine == v.affine);
  }
  CHECK(same_bits(v.data, numbered({4, 5, 6, 2})));
  CHECK_THROWS_WITH(crop(v, {0, 0, 4}, {1, 1, 3}), Catch::Contains("[crop] axis D"));
  CHECK_THROWS_AS(crop(v, {-1, 0, 0}, {1, 1, 1}), ValueError);
  CHECK_THROWS_AS(crop(v, {0, 0, 0}, {1, 0, 1}), ValueError);
  CHECK_THROWS_AS(crop(v, {1, 0, 0}, {INT64_MAX, 1, 1}), ValueError);
  CHECK_THROWS_AS(pad(v, {0, -1, 0}, {0, 0, 0}), ValueError);
  CHECK_THROWS_AS(pad({numbered({1, 1, 1}, i32), oblique}, {1, 0, 0}, {0, 0, 0}, 0.5), ValueError);
  CHECK_THROWS_AS(pad_to_multiple(v, {0, 1, 1}), ValueError);
  CHECK_THROWS_AS(flip(v, 3), ValueError);
}

TEST_CASE("preprocess: standardize, label tables, coordinates", "[data]") {
  const Tensor s = standardize(Tensor::of<float>({2, 2}, {1, 2, 3, 6}));
  const double deviation = std::sqrt((4 + 1 + 0 + 9) / 4.0);
  CHECK(s.value_at(3) == Approx(3 / deviation));
  CHECK(s.value_at(0) == Approx(-2 / deviation));
  CHECK(standardize(numbered({3}, i32)).dtype() == f32);
  CHECK(standardize(numbered({3}, f64)).dtype() == f64);
  CHECK_THROWS_AS(standardize(Tensor::ones({4})), ValueError);
  CHECK_THROWS_AS(standardize(Tensor::of<float>({2}, {1, std::numeric_limits<float>::infinity()})), ValueError);
  CHECK_THROWS_AS(standardize(Tensor{}), ValueError);

  CHECK(map_labels(Tensor::of<std::int32_t>({4}, {0, 2, 1, 2}), {5, 6, 7}).values() == std::vector<double>{5, 7, 6, 7});
  CHECK_THROWS_WITH(map_labels(Tensor::of<std::int32_t>({2}, {0, 3}), {5, 6, 7}),
                    Catch::Contains("element 1") && Catch::Contains("label 3"));
  CHECK_THROWS_AS(map_labels(Tensor::of<std::int32_t>({1}, {-1}), {5}), ValueError);
  CHECK_THROWS_AS(map_labels(Tensor::ones({1}), {5}), TypeError);

  const Tensor x = numbered({3, 2, 1, 2});
  const Tensor c = add_coordinates(x);
  REQUIRE(c.shape() == Shape{3, 2, 1, 5});
  CHECK(at(c, 1, 1, 0, 1) == at(x, 1, 1, 0, 1));
  for (std::int64_t i = 0; i < 3; ++i) CHECK(at(c, i, 1, 0, 2) == static_cast<double>(i - 1));
  CHECK(at(c, 0, 0, 0, 3) == -1);
  CHECK(at(c, 0, 1, 0, 3) == 1);
  CHECK(at(c, 2, 1, 0, 4) == -1);
  CHECK(add_coordinates(numbered({2, 2, 2}, f64)).shape() == Shape{2, 2, 2, 4});
  CHECK(with_channel_axis(numbered({2, 3, 4})).shape() == Shape{2, 3, 4, 1});
  CHECK_THROWS_AS(add_coordinates(numbered({2, 2, 2}, i32)), TypeError);
}

TEST_CASE("dataset: tensors, samples, functions, subsets", "[data]") {
  const TensorDataset t(numbered({3, 2, 2}), Tensor::of<std::int32_t>({3}, {7, 8, 9}));
  CHECK(t.size() == 3);
  CHECK(t.get(1).x.shape() == Shape{2, 2});
  CHECK(t.get(1).x.values() == std::vector<double>{4, 5, 6, 7});
  CHECK(t.get(2).y.shape() == Shape{});
  CHECK(t.get(2).y.item() == 9);
  CHECK_FALSE(TensorDataset(numbered({3, 2})).get(0).y.defined());
  CHECK_THROWS_AS(t.get(3), ValueError);
  CHECK_THROWS_AS(t.get(-1), ValueError);
  CHECK_THROWS_AS(TensorDataset(numbered({3, 2}), numbered({2})), ValueError);
  CHECK_THROWS_AS(TensorDataset(Tensor{}), ValueError);
  CHECK_THROWS_AS(TensorDataset(Tensor::scalar(1)), ValueError);
  const FunctionDataset f(4, [](std::int64_t i) { return Sample{Tensor::scalar(static_cast<double>(i * i)), {}}; });
  CHECK(f.get(3).x.item() == 9);
  CHECK_THROWS_AS(f.get(4), ValueError);
  CHECK_THROWS_AS(FunctionDataset(2, {}), ValueError);
  const Subset part(std::make_shared<FunctionDataset>(f), {3, 1});
  CHECK(part.size() == 2);
  CHECK(part.get(0).x.item() == 9);
  CHECK_THROWS_AS(Subset(std::make_shared<FunctionDataset>(f), {4}), ValueError);
  CHECK(SampleDataset({{Tensor::scalar(5), {}}}).get(0).x.item() == 5);
}

TEST_CASE("loader: every epoch covers each sample once, each in a different order", "[data]") {
  DataLoader loader(counted(23), {.batch_size = 4, .shuffle = true, .seed = 5});
  CHECK(loader.batches_per_epoch() == 6);
  std::set<std::vector<std::int64_t>> orders;
  for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
    CHECK(loader.epoch() == epoch);
    std::vector<std::int64_t> seen;
    int batches = 0;
    for (const Batch& batch : loader) {
      ++batches;
      CHECK(batch.x.shape() == Shape{static_cast<std::int64_t>(batch.indices.size()), 2});
      CHECK(batch.indices.size() == (batches == 6 ? 3u : 4u));
      for (std::size_t i = 0; i < batch.indices.size(); ++i) {
        CHECK(batch.y.value_at(static_cast<std::int64_t>(i)) == static_cast<double>(batch.indices[i]));
        CHECK(batch.x.value_at(2 * static_cast<std::int64_t>(i) + 1) == static_cast<double>(-batch.indices[i]));
      }
      seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
    }
    CHECK(batches == 6);
    CHECK(seen == loader.order(epoch));
    orders.insert(seen);
    std::sort(seen.begin(), seen.end());
    for (std::int64_t i = 0; i < 23; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i);
  }
  CHECK(orders.size() == 5);
  CHECK(DataLoader(counted(23), {.shuffle = true, .seed = 5}).order(3) == loader.order(3));
  CHECK(DataLoader(counted(23), {.shuffle = true, .seed = 6}).order(3) != loader.order(3));
}

TEST_CASE("loader: in order, drop_last, endless next", "[data]") {
  DataLoader loader(counted(5), {.batch_size = 2, .drop_last = true});
  CHECK(loader.batches_per_epoch() == 2);
  for (int i = 0; i < 7; ++i)
    CHECK(loader.next().indices == (i % 2 == 0 ? std::vector<std::int64_t>{0, 1} : std::vector<std::int64_t>{2, 3}));
  CHECK(loader.epoch() == 3);
  CHECK(loader.position() == 1);
  int batches = 0;
  for (const Batch& batch : loader) batches += batch.indices.empty() ? 0 : 1;
  CHECK(batches == 1);  // the rest of the epoch
  loader.seek(9, 1);
  CHECK(loader.next().indices == std::vector<std::int64_t>{2, 3});
  CHECK(loader.epoch() == 10);
  CHECK_THROWS_AS(loader.seek(0, 2), ValueError);
  CHECK_THROWS_AS(loader.seek(-1), ValueError);
  CHECK(DataLoader(counted(3), {.batch_size = INT64_MAX}).next().indices.size() == 3);
  CHECK_THROWS_AS(DataLoader(counted(3), {.batch_size = 4, .drop_last = true}), ValueError);
  CHECK_THROWS_AS(DataLoader(counted(0), {}), ValueError);
  CHECK_THROWS_AS(DataLoader(counted(3), {.batch_size = 0}), ValueError);
  CHECK_THROWS_AS(DataLoader(std::shared_ptr<const Dataset>(), {}), ValueError);
}

TEST_CASE("loader: a state saved within an epoch continues with the same batches", "[data]") {
  const auto noisy = [](const Sample& s, const random::Key& key) {
    return Sample{Tensor::scalar(s.x.value_at(0) + random::uniform(key, {}).item()), s.y};
  };
  const DataLoaderOptions options{.batch_size = 3, .shuffle = true, .seed = 11, .transform = noisy};
  for (const int done : {0, 1, 2, 3, 4, 7, 8}) {  // 4 batches per epoch
    DataLoader loader(counted(10), options);
    for (int i = 0; i < done; ++i) loader.next();
    const StateDict state = loader.save_state();
    DataLoaderOptions other = options;
    other.seed = 99;  // replaced by that of the state
    DataLoader resumed(counted(10), other);
    resumed.next();
    REQUIRE(resumed.check_state(state).empty());
    resumed.load_state(state);
    for (int i = 0; i < 9; ++i) {
      const Batch a = loader.next(), b = resumed.next();
      CHECK(a.indices == b.indices);
      CHECK(same_bits(a.x, b.x));
      CHECK(same_bits(a.y, b.y));
    }
  }
}

TEST_CASE("loader: a state that does not fit is refused and changes nothing", "[data]") {
  DataLoader loader(counted(10), {.batch_size = 3, .shuffle = true});
  const StateDict good = loader.save_state();
  const auto with = [&](const std::string& name, const Value& value) {
    StateDict b = good;
    for (auto& [key, v] : b.values)
      if (key == name) v = value;
    return loader.check_state(b);
  };
  CHECK(with("epoch", std::int64_t{4}).empty());
  CHECK(with("epoch", std::int64_t{-1}).size() == 1);
  CHECK(with("position", std::int64_t{4}).size() == 1);
  CHECK(with("position", 1.0).size() == 1);
  CHECK_THAT(with("size", std::int64_t{11}).at(0),
             Catch::Contains("size") && Catch::Contains("11") && Catch::Contains("10"));
  CHECK(with("size", std::int64_t{11}).back().find("loader.allow_other_settings()") != std::string::npos);
  CHECK(with("batch_size", std::int64_t{4}).size() == 2);
  CHECK(with("shuffle", false).size() == 2);
  CHECK(with("drop_last", true).size() == 2);
  CHECK(loader.check_state(StateDict{}).size() == 8);
  CHECK(loader.position() == 0);
}

TEST_CASE("loader: continues with more data if other settings are allowed", "[data]") {
  DataLoader few(counted(10), {.batch_size = 3, .shuffle = true, .seed = 4});
  for (int i = 0; i < 5; ++i) few.next();
  const StateDict within = few.save_state();
  REQUIRE((few.epoch() == 1 && few.position() == 1));

  DataLoader more(counted(12), {.batch_size = 6, .shuffle = true});
  CHECK(more.check_state(within).size() == 3);
  more.allow_other_settings();
  CHECK(more.check_state(within).empty());
  more.load_state(within);  // with other data the epoch cannot continue in the middle
  CHECK((more.epoch() == 2 && more.position() == 0));
  CHECK(more.order(2) == DataLoader(counted(12), {.shuffle = true, .seed = 4}).order(2));

  few.seek(3);
  more.load_state(few.save_state());
  CHECK((more.epoch() == 3 && more.position() == 0));
  DataLoader same(counted(10), {.batch_size = 3, .shuffle = true});
  same.allow_other_settings();
  same.load_state(within);
  CHECK((same.epoch() == 1 && same.position() == 1));
  StateDict bad = within;
  bad.values[1].second = std::int64_t{-1};
  CHECK(more.check_state(bad).size() == 1);
}

TEST_CASE("loader: transforms depend on seed, epoch and sample only", "[data]") {
  const auto draw = [](const Sample& s, const random::Key& key) { return Sample{random::uniform(key, {2}), s.y}; };
  const auto values_of = [&](DataLoaderOptions options, std::int64_t epoch) {
    options.transform = draw;
    DataLoader loader(counted(6), options);
    loader.seek(epoch);
    std::vector<std::vector<double>> by_sample(6);
    for (const Batch& batch : loader)
      for (std::size_t i = 0; i < batch.indices.size(); ++i)
        by_sample[static_cast<std::size_t>(batch.indices[i])] = {
            batch.x.value_at(2 * static_cast<std::int64_t>(i)), batch.x.value_at(2 * static_cast<std::int64_t>(i) + 1)};
    return by_sample;
  };
  const auto reference = values_of({.batch_size = 1, .seed = 3}, 1);
  CHECK(values_of({.batch_size = 4, .shuffle = true, .seed = 3}, 1) == reference);
  CHECK(values_of({.batch_size = 1, .seed = 3}, 2) != reference);
  CHECK(values_of({.batch_size = 1, .seed = 4}, 1) != reference);
  CHECK(std::set<std::vector<double>>(reference.begin(), reference.end()).size() == 6);
}

TEST_CASE("loader: a transform that writes in place does not change the data set", "[data]") {
  const Tensor x = Tensor::full({1}, 1), y = Tensor::full({1}, 3);
  DataLoader loader(SampleDataset({{x, y}, {x, {}}}), {.transform = [](const Sample& sample, const random::Key&) {
                      Sample s = sample;
                      s.x.data<float>()[0] *= 2;
                      if (s.y.defined()) s.y.data<float>()[0] += 1;
                      return s;
                    }});
  for (int epoch = 0; epoch < 3; ++epoch) {
    const Batch first = loader.next(), second = loader.next();
    CHECK(first.x.item() == 2);
    CHECK(first.y.item() == 4);
    CHECK(second.x.item() == 2);
  }
  CHECK(x.item() == 1);
  CHECK(y.item() == 3);
}

TEST_CASE("loader: a sample without other handles is passed to the transform without a copy", "[data]") {
  const void* made = nullptr;
  const void* seen = nullptr;
  DataLoader loader(FunctionDataset(1,
                                    [&](std::int64_t) {
                                      Sample s{Tensor::ones({4}), {}};
                                      made = s.x.raw();
                                      return s;
                                    }),
                    {.transform = [&](const Sample& s, const random::Key&) {
                      seen = s.x.raw();
                      return s;
                    }});
  loader.next();
  CHECK(seen == made);
  CHECK(seen != nullptr);
}

TEST_CASE("loader: samples that do not fit together", "[data]") {
  const auto load = [](std::vector<Sample> samples) {
    const auto n = static_cast<std::int64_t>(samples.size());
    DataLoader loader(SampleDataset(std::move(samples)), {.batch_size = n});
    try {
      loader.next();
    } catch (const ValueError& e) {
      CHECK(loader.position() == 0);
      CHECK(loader.epoch() == 0);
      return std::string(e.what());
    }
    return std::string("(accepted)");
  };
  const Tensor a = Tensor::ones({2, 3}), b = Tensor::ones({3, 2});
  CHECK_THAT(load({{a, {}}, {a, {}}, {b, {}}}),
             Catch::Contains("sample 2") && Catch::Contains("(3, 2)") && Catch::Contains("(2, 3)"));
  CHECK_THAT(load({{a, {}}, {a.to(f64), {}}}), Catch::Contains("sample 1") && Catch::Contains("f64"));
  CHECK_THAT(load({{a, a}, {a, {}}}), Catch::Contains("its y is undefined"));
  CHECK_THAT(load({{{}, a}}), Catch::Contains("sample 0") && Catch::Contains("undefined"));
  CHECK(load({{a, {}}, {a, {}}}) == "(accepted)");
}
