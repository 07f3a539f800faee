// What a run has gone through: the loss of every step and the held-out Dice of every evaluation. Saved with the
// checkpoint, so that a resumed run's curves are whole, and as history.json for other programs.
#pragma once

#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

class History : public vg::Stateful {
 public:
  struct Evaluation {
    std::int64_t step;
    std::vector<double> dice;  // one a class, background left out
    double mean() const;
  };
  /// `classes`: how many values an evaluation has.
  explicit History(std::size_t classes) : classes_(classes) {}

  std::vector<double> loss;  // of steps 1, 2, ...
  std::vector<Evaluation> evaluations;

  vg::StateDict save_state() const override;
  /// That there are as many values as there should be, and that no evaluation is of a step without a loss.
  std::vector<std::string> check_state(const vg::StateDict& state) const override;
  void load_state(const vg::StateDict& state) override;
  /// {"loss": [...], "evaluations": [{"step", "dice": {class: value}, "mean"}]}. Throws IoError.
  void write_json(const std::string& path, const std::vector<std::string>& classes) const;

 private:
  std::size_t classes_;
};
