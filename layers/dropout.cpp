#include "layers/dropout.hpp"

#include <fmt/format.h>

#include "framework/error.hpp"
#include "framework/ops/dropout.hpp"

namespace vg {

Dropout::Dropout(DropoutOptions options) : Layer(std::move(options.name)), prob_(options.prob) {
  if (!(prob_ > 0 && prob_ <= 1))
    throw ValueError(fmt::format("[{}] prob: got {}; must be in (0, 1] (the probability to keep)", where(), prob_));
  if (options.seed) random.emplace(*options.seed);
}

Variable Dropout::update(const Variable& x) {
  if (!training() || prob_ == 1) return x;
  return dropout(x, prob_, random ? random->next() : random::default_generator().next());
}

void Dropout::visit(Visitor& v) {
  if (random) v("random", *random);
}

Values Dropout::options() const {
  return {
      {"prob", prob_}, {"random", random.has_value() ? std::string("own") : std::string("default")}, {"name", name()}};
}

}  // namespace vg
