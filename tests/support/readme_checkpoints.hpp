// The program around README's lines on checkpoints: the models that they use, and a check of their results.
#pragma once

#include <voxgrad/voxgrad.hpp>

#include "support/checkpoint_run.hpp"

struct MyNet : vg::Module {
  vg::Linear encoder{{.in_size = {4}, .out_features = 3}}, head{{.in_size = {3}, .out_features = 2}};
  vg::Variable update(vg::Variable x) override { return head(encoder(x)); }
  void visit(vg::Visitor& v) override {
    v("encoder", encoder);
    v("head", head);
  }
  std::string kind() const override { return "MyNet"; }
};

struct Setting {
  vg::Linear model{{.in_size = {4}, .out_features = 3}};
  MyNet other;

  /// The exit status: 0 if the lines worked as described.
  int check(vg::Module& same, const vg::LoadReport& report) {
    if (vg::test::bits(same) != vg::test::bits(model) || vg::test::bits(other.encoder) != vg::test::bits(model))
      return 1;
    if (report.missing.size() != 4 || report.unexpected.size() != 2 || !report.loaded.empty()) return 2;
    vg::save(other, "model.json");
    return vg::test::bits(*vg::load_model("model.json")) == vg::test::bits(other) ? 0 : 3;
  }
};
