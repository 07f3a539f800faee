"""Write the state dict of a net in PyTorch, and its inputs and outputs: state_dict/net.safetensors, state_dict/values.safetensors.

usage: make_golden_state_dict.py [OUT_DIR=state_dict]     (needs: torch, numpy, safetensors; CPU)
       make_golden_state_dict.py --check FILE             loads FILE, which voxgrad wrote, with strict=True and compares values and bits
net.safetensors is what `save_file(net.state_dict())` writes, float32. values.safetensors has `x` and the results `eval` and `train` (of the modes),
float64, channels first. tests/unit/layers/test_state_dict.cpp has the same net in voxgrad.
"""
import os, sys
import numpy as np, torch
from safetensors.torch import load_file, save_file
from torch import nn
from golden_format import values

here = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
rng = np.random.default_rng(20261130)


class Sum(nn.Module):
    """voxgrad's Branches."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return sum(b(x) for b in self.branches)


def make():
    return nn.Sequential(
        nn.Conv3d(2, 4, (3, 2, 1), padding=(1, 0, 0)),
        nn.BatchNorm3d(4),
        nn.PReLU(4),
        nn.Conv3d(4, 8, 3, stride=2, padding=2, dilation=2, groups=2, bias=False),
        nn.GroupNorm(2, 8),
        Sum(nn.Conv3d(8, 8, (1, 1, 3), padding=(0, 0, 1)), nn.Identity()),
        nn.ConvTranspose3d(8, 6, 2, stride=2, groups=2),
        nn.ConvTranspose3d(6, 4, (2, 3, 1), stride=(2, 1, 1), bias=False),
        nn.InstanceNorm3d(4, affine=True),
        nn.MaxPool3d(2),
        nn.utils.parametrizations.weight_norm(nn.Conv3d(4, 3, 1)),
        nn.Sequential(nn.ReLU(), nn.Flatten()),
        nn.PReLU(108),
        nn.Linear(108, 7),
        nn.LayerNorm(7),
        nn.PReLU(),
        nn.Linear(7, 3, bias=False))


def results(net, x):
    net = net.double()
    with torch.no_grad():
        return {"x": x, "eval": net.eval()(x), "train": net.train()(x)}


if sys.argv[1:2] == ["--check"]:
    net, file = make(), load_file(sys.argv[2])
    print(net.load_state_dict(file, strict=True))
    for name, t in load_file(os.path.join(here, "state_dict/net.safetensors")).items():
        assert torch.equal(t, file[name].to(t.dtype)) and torch.equal(t, net.state_dict()[name]), name
    want = load_file(os.path.join(here, "state_dict/values.safetensors"))
    for name, t in results(net, want["x"]).items():
        print(name, "largest difference", float((t - want[name]).abs().max()))
else:
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "state_dict")
    os.makedirs(out, exist_ok=True)
    net = make()
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if name.endswith("num_batches_tracked"): continue
            t.copy_(torch.tensor(values(rng, t.shape, .5)))
            if name.endswith("running_var"): t.abs_().add_(.25)
    save_file(net.state_dict(), os.path.join(out, "net.safetensors"))
    x = torch.tensor(values(rng, (2, 2, 6, 5, 4)))
    save_file({k: v.contiguous() for k, v in results(net, x).items()}, os.path.join(out, "values.safetensors"))
