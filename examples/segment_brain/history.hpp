// The history of a run: the loss of every step and the held-out Dice of every evaluation. It is saved with the
// checkpoint, so that the curves of a resumed run are complete, and as history.json for other programs.
#pragma once

#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

class History : public vg::Stateful {
 public:
  struct Evaluation {
    std::int64_t step;
    std::vector<double> dice;  // one per class, without the background
    double mean() const;
  };
  /// `classes`: the number of values per evaluation.
  explicit History(std::size_t classes) : classes_(classes) {}

  std::vector<double> loss;  // of steps 1, 2, ...
  std::vector<Evaluation> evaluations;

  vg::StateDict save_state() const override;
  /// Checks the number of values, and that every evaluation belongs to a step with a loss.
  std::vector<std::string> check_state(const vg::StateDict& state) const override;
  void load_state(const vg::StateDict& state) override;
  /// {"loss": [...], "evaluations": [{"step", "dice": {class: value}, "mean"}]}. Throws IoError.
  void write_json(const std::string& path, const std::vector<std::string>& classes) const;

 private:
  std::size_t classes_;
};
