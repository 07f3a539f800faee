// The model zoo: ready nets. Each is a function that gives a Sequential of this library's layers, so its checkpoints
// can be read by vg::load_model without it.
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
