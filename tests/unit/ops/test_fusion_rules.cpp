// docs/fusion.md shows the rules of framework/ops/fusion.hpp.
#include <catch2/catch.hpp>

#include <fmt/format.h>

#include "support/page_table.hpp"
#include "voxgrad/framework/ops/fusion.hpp"

namespace {

using vg::fusion::Op;

std::vector<Op> ops_of(Op set) {
  std::vector<Op> found;
  for (unsigned bit = 1; bit <= static_cast<unsigned>(Op::layer_norm); bit *= 2)
    if (has(set, Op{bit})) found.push_back(Op{bit});
  return found;
}

std::string names_of(Op set) {
  std::string names;
  for (const Op op : ops_of(set)) names += fmt::format("{}`{}`", names.empty() ? "" : ", ", name_of(op));
  return names;
}

}  // namespace

TEST_CASE("docs/fusion.md: the table of what fuses is that of the code", "[fusion]") {
  std::string rows;
  for (const auto& [producers, consumers, donated, condition, result] : vg::fusion::rules()) {
    const std::string_view first = !donated ? "" : condition.empty() ? "donated " : "donated; ";
    rows += fmt::format("| {} | {} | {}{}{}| {} |\n", names_of(producers), names_of(consumers), first, condition,
                        condition.empty() ? "" : " ", result);
  }
  vg::test::check_page_table("fusion.md", "| producer | consumer | condition | result |\n| --- | --- | --- | --- |\n",
                             rows);
}

TEST_CASE("fusion: two ops have one rule or none", "[fusion]") {
  for (const auto& rule : vg::fusion::rules())
    for (const Op producer : ops_of(rule.producers))
      for (const Op consumer : ops_of(rule.consumers)) {
        INFO(name_of(producer) << ", " << name_of(consumer));
        CHECK(vg::fusion::rule_of(producer, consumer) == &rule);
      }
  CHECK(vg::fusion::rule_of(Op::none, Op::none) == nullptr);
  CHECK(vg::fusion::rule_of(Op::layer_norm, Op::relu) == nullptr);
  CHECK(vg::fusion::rule_of(Op::norm_sum, Op::add) == nullptr);
}
