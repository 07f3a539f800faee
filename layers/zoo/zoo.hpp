// The model zoo: ready-made nets. Each is a function that returns a Sequential of this library's layers, so
// vg::load_model can read its checkpoints without the zoo.
//
//   vg::Sequential net = vg::zoo::UNet3d({.in_size = {64, 64, 64, 1}, .out_channels = 3});
#pragma once

#include "voxgrad/layers/zoo/c3d.hpp"
#include "voxgrad/layers/zoo/mednext.hpp"
#include "voxgrad/layers/zoo/r2plus1d.hpp"
#include "voxgrad/layers/zoo/resnet3d.hpp"
#include "voxgrad/layers/zoo/segresnet.hpp"
#include "voxgrad/layers/zoo/unet3d.hpp"
#include "voxgrad/layers/zoo/voxnet.hpp"
