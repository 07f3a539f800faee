#include "segment_brain/history.hpp"

#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "voxgrad/framework/system/atomic_file.hpp"

double History::Evaluation::mean() const {
  return std::accumulate(dice.begin(), dice.end(), 0.0) / static_cast<double>(dice.size());
}

vg::StateDict History::save_state() const {
  vg::StateDict b;
  b.values.emplace_back("loss", loss);
  std::vector<std::int64_t> steps;
  for (const Evaluation& e : evaluations) steps.push_back(e.step);
  b.values.emplace_back("evaluated_at", steps);
  for (std::size_t i = 0; i < evaluations.size(); ++i)
    b.values.emplace_back(fmt::format("dice_{}", i), evaluations[i].dice);
  return b;
}

std::vector<std::string> History::check_state(const vg::StateDict& state) const {
  try {
    History(classes_).load_state(state);
    return {};
  } catch (const std::exception& e) {
    return {e.what()};
  }
}

void History::load_state(const vg::StateDict& state) {
  History h(classes_);
  h.loss = state.get<std::vector<double>>("loss");
  const auto steps_done = static_cast<std::int64_t>(h.loss.size());
  std::int64_t before = -1;
  for (const std::int64_t step : state.get<std::vector<std::int64_t>>("evaluated_at")) {
    if (step <= before || step > steps_done)
      throw vg::IoError(
          fmt::format("[history] evaluated_at: got {} after {}; must rise, to {} at most, the number of losses", step,
                      before, steps_done));
    before = step;
    const std::string name = fmt::format("dice_{}", h.evaluations.size());
    h.evaluations.push_back({step, state.get<std::vector<double>>(name)});
    if (const std::size_t n = h.evaluations.back().dice.size(); n != classes_)
      throw vg::IoError(fmt::format("[history] {}: got {} values; must be {}, one per class without the background",
                                    name, n, classes_));
  }
  *this = std::move(h);
}

void History::write_json(const std::string& path, const std::vector<std::string>& classes) const {
  nlohmann::ordered_json j;
  j["loss"] = loss;
  j["evaluations"] = nlohmann::ordered_json::array();
  for (const Evaluation& e : evaluations) {
    nlohmann::ordered_json dice;
    for (std::size_t c = 0; c < e.dice.size(); ++c) dice[classes[c + 1]] = e.dice[c];
    j["evaluations"].push_back({{"step", e.step}, {"mean", e.mean()}, {"dice", dice}});
  }
  vg::AtomicFile file("[history]", path);
  file.put(j.dump(1));
  file.put('\n');
  file.commit();
}
