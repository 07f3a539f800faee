// A project whose own headers have the names of voxgrad's and come first on its include path.
#include <data/data.hpp>
#include <framework/base/tensor.hpp>
#include <framework/tensor.hpp>
#include <io/io.hpp>
#include <layers/layers.hpp>
#include <optim/optim.hpp>
#include <voxgrad/voxgrad.hpp>

static_assert(OWN_DATA_DATA_HPP && OWN_IO_IO_HPP && OWN_LAYERS_LAYERS_HPP && OWN_FRAMEWORK_TENSOR_HPP &&
              OWN_FRAMEWORK_BASE_TENSOR_HPP && OWN_OPTIM_OPTIM_HPP);

int main() {
  vg::Linear layer({.in_size = {3}, .out_features = 2});
  vg::SGD sgd(layer.parameters(), {.lr = 0.1});
  const vg::Variable y = layer(vg::Tensor::ones({4, 3}));
  return y.shape() == vg::Shape{4, 2} ? 0 : 1;
}
