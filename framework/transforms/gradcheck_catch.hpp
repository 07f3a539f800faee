// For Catch2 (2.x) tests: CHECK_THAT(vg::gradcheck(f, inputs), vg::Passes()) prints the worst derivative if it fails.
#pragma once

#include <string>

#include <catch2/catch.hpp>

#include "voxgrad/framework/transforms/gradcheck.hpp"

namespace vg {

class Passes : public Catch::MatcherBase<GradcheckReport> {
 public:
  bool match(const GradcheckReport& report) const override { return report.ok; }
  std::string describe() const override { return "has derivatives that agree with differences"; }
};

}  // namespace vg

template <>
struct Catch::StringMaker<vg::GradcheckReport> {
  static std::string convert(const vg::GradcheckReport& report) { return report.message(); }
};
