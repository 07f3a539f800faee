// Code that runs on several threads at once, for ThreadSanitizer: background saves during training, loaders over one
// dataset, ops on teams of threads. It is a separate program that is built from only the sources that it needs.
#include <atomic>
#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <thread>

#include "support/temp_dir.hpp"
#include "voxgrad/data/loader.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/checkpoint/checkpoint_manager.hpp"
#include "voxgrad/optim/ema.hpp"
#include "voxgrad/optim/rules/adam.hpp"

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what);
}

struct Noise : vg::Dataset {
  std::int64_t size() const override { return 24; }
  vg::Sample get(std::int64_t index) const override {
    return {vg::random::normal({7, static_cast<std::uint32_t>(index)}, {8, 8, 8, 1}), shared};
  }
  vg::Tensor shared = vg::Tensor::ones({4}, vg::i32);
};

struct Net : vg::Module {
  vg::ParamState weight;
  vg::BatchState stats;
  Net() {
    weight.add("weight", vg::Tensor::ones({100, 200}));
    weight.add("bias", vg::Tensor::ones({200}));
    stats.add("mean", vg::Tensor::zeros({200}));
  }
  vg::Variable update(vg::Variable x) override { return x; }
  void visit(vg::Visitor& v) override { v("weight", weight), v("stats", stats); }
  std::string kind() const override { return "Net"; }
};

// Changes everything that a step changes while the earlier snapshot is copied and written.
struct Training {
  Net model;
  vg::AdamW optimizer{model.parameters()};
  vg::Ema ema{model.parameters()};
  vg::DataLoader loader{Noise(), {.batch_size = 2, .shuffle = true}};

  void put_into(vg::Checkpoint& checkpoint) {
    checkpoint.model(model).optimizer(optimizer).part("ema", ema).part("loader", loader);
  }
  void step() {
    loader.next();
    for (const std::string& leaf : model.weight.leaves())
      model.weight.set_grad(leaf, vg::Variable(model.weight[leaf].value().clone()));
    optimizer.step();
    optimizer.zero_grad();
    ema.update();
    model.stats.writable("mean").data<float>()[0] += 1;
    vg::random::default_generator().next();
  }
};

void background_saves() {
  const vg::test::TempDir folder;
  Training training;
  std::optional<vg::CheckpointManager> run(std::in_place, folder / "run",
                                           vg::CheckpointManagerOptions{.keep_last = 2, .best = vg::Best::highest});
  training.put_into(run->checkpoint());
  std::int64_t position = -1;
  for (std::int64_t step = 1; step <= 20; ++step) {
    training.step();
    run->save_in_background(step, static_cast<double>(step % 7));
    run->check();
    position = training.loader.position();
    for (int more = 0; more < 2; ++more) training.step();
  }
  run->wait();
  run.reset();  // which unlocks the folder
  Training other;
  vg::CheckpointManager again(folder / "run", {.keep_last = 2, .best = vg::Best::highest});
  other.put_into(again.checkpoint());
  expect(again.resume().step == 20, "the last background save can be loaded");
  expect(other.loader.position() == position, "and is of the moment of the call");
  expect(other.optimizer.steps() == 58, "with the optimizer's steps of that moment");
}

void a_failing_async_checkpoint_writer() {
  const vg::test::TempDir folder;
  folder.write("file", "no folder");
  Training training;
  vg::AsyncCheckpointWriter saving;
  vg::Checkpoint checkpoint;
  checkpoint.model(training.model);
  bool thrown = false;
  saving.save(checkpoint, folder / "file/m.json");
  training.step();
  while (saving.busy()) std::this_thread::yield();
  try {
    saving.wait();
  } catch (const vg::IoError&) {
    thrown = true;
  }
  expect(thrown, "the error of a background save comes out of wait()");
  saving.save(checkpoint, folder / "m.json");  // the destructor waits
}

// Threads share a dataset; each has its own loader.
void loaders_over_one_dataset() {
  const auto dataset = std::make_shared<const Noise>();
  const auto sum_of_epoch = [&](double& sum) {
    vg::DataLoader loader(
        dataset,
        {.batch_size = 4, .shuffle = true, .seed = 3, .transform = [](const vg::Sample& s, const vg::random::Key& key) {
           return vg::Sample{vg::random::uniform(key, s.x.shape()), s.y};
         }});
    for (const vg::Batch& batch : loader)
      for (std::int64_t i = 0; i < batch.x.numel(); i += 100) sum += batch.x.value_at(i);
  };
  double sums[3] = {};
  std::thread first([&] { sum_of_epoch(sums[0]); }), second([&] { sum_of_epoch(sums[1]); });
  sum_of_epoch(sums[2]);
  first.join();
  second.join();
  expect(sums[0] == sums[2] && sums[1] == sums[2] && sums[2] != 0, "loaders on three threads give the same batches");
}

// Two threads, each with its own team, compute while a third one changes the number of threads.
void ops_while_the_number_of_threads_changes() {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (int n = 1; !stop; n = n % 4 + 1) {
      vg::set_num_threads(n);
      std::this_thread::yield();
    }
  });
  const auto compute = [](double& result) {
    for (int i = 0; i < 20; ++i) {
      const vg::Tensor t = vg::Tensor::full({1'000'000}, i);  // 16 tasks
      const vg::Tensor copy = t.clone();
      result += copy.value_at(0) + copy.value_at(999'999);
      vg::parallel_for(8, [](std::int64_t task) { vg::memory::Scratch<double>(1000).data()[task] = 1; });
    }
  };
  double results[2] = {};
  std::thread first([&] { compute(results[0]); });
  compute(results[1]);
  first.join();
  stop = true;
  other.join();
  expect(results[0] == 380 && results[1] == 380, "ops give their results whatever the number of threads");
  vg::set_num_threads(2);
}

void an_exception_in_a_team() {
  for (int i = 0; i < 50; ++i) {
    bool thrown = false;
    try {
      vg::parallel_for(100, [](std::int64_t task) {
        if (task % 7 == 3) throw std::bad_alloc();
      });
    } catch (const std::bad_alloc&) {
      thrown = true;
    }
    expect(thrown, "the exception of a task comes out of parallel_for");
  }
}

}  // namespace

int main() {
  vg::set_num_threads(2);
  background_saves();
  a_failing_async_checkpoint_writer();
  loaders_over_one_dataset();
  ops_while_the_number_of_threads_changes();
  an_exception_in_a_team();
  std::printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
