// The model zoo: ready nets. Each is a function that gives a Sequential of this library's layers, so its checkpoints
// can be read by vg::load_model without it.
//
//   vg::Sequential net = vg::zoo::UNet3d({.in_size = {64, 64, 64, 1}, .out_channels = 3});
#pragma once

#include "zoo/c3d.hpp"
#include "zoo/mednext.hpp"
#include "zoo/r2plus1d.hpp"
#include "zoo/resnet3d.hpp"
#include "zoo/segresnet.hpp"
#include "zoo/unet3d.hpp"
#include "zoo/voxnet.hpp"
