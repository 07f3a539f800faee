"""Write reference cases for layers that PyTorch has, or that are written with its ops (float64): layers/*.json, in addition to make_golden_layers.py's.

usage: make_golden_blocks.py [OUT_DIR=layers]     (needs what make_golden_layers.py needs; CPU)
The schema is in README.md.
"""
import sys
from golden_common import *
import torch.nn.functional as F
from torch.nn.utils.parametrizations import weight_norm
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers")
rng = np.random.default_rng(20261124)


def case(name, layer, config, x, p, f, mode=None):
    """f(x, p) on channels-last tensors; p has the states by voxgrad's names."""
    xt = torch.tensor(x, requires_grad=True)
    pt = {k: torch.tensor(v, requires_grad=True) for k, v in p.items()}
    y = f(xt, pt)
    g = values(rng, tuple(y.shape))
    grads = torch.autograd.grad(y, [xt, *pt.values()], torch.tensor(g))
    save(os.path.join(out, name + ".json"), dict(
        name=name, layer=layer, oracle=TORCH, config=config, mode=mode, inputs=pack_all({"x": x}), states=pack_all(p), output=pack(y),
        grad_output=pack(g), grads=pack_all(dict(zip(["x", *p], grads))), new_states=None))


# ---- resampling and adaptive pooling

for corners in (False, True):
    for name, size in {"larger": [7, 3, 9], "smaller": [2, 1, 5]}.items():
        case(f"upsample_trilinear_size_{name}{'_corners' if corners else ''}", "Upsample", dict(size=size, mode="trilinear", align_corners=corners), values(rng, (2, 3, 2, 4, 3)), {},
             lambda x, p: last(F.interpolate(first(x), size=tuple(size), mode="trilinear", align_corners=corners)))
for kind in ("avg", "max"):
    for name, size in {"larger": [5, 3, 8], "one": [1, 1, 1]}.items():
        case(f"adaptive_{kind}_pool_{name}", f"Adaptive{kind.title()}Pool3d", dict(target_size=size), values(rng, (2, 3, 4, 5, 3)), {},
             lambda x, p: last(getattr(F, f"adaptive_{kind}_pool3d")(first(x), tuple(size))))

# ---- activations

wide = np.concatenate([values(rng, 40, 2.0), [-30.0, 30.0, -100.0, 100.0, 1e-3, -1e-3, 6.0, 25.0]]).reshape(2, 2, 3, 4)
case("act_prelu", "PReLU", dict(per_channel=False), wide, {"slope": np.array([.375])}, lambda x, p: F.prelu(x, p["slope"]))
case("act_prelu_channels", "PReLU", dict(per_channel=True, in_size=[4]), wide, {"slope": values(rng, 4, .5)}, lambda x, p: F.prelu(x.movedim(-1, 1), p["slope"]).movedim(1, -1))
for name, alpha in {"elu": 1.0, "elu_alpha": 0.5}.items():
    case(f"act_{name}", "ELU", dict(alpha=alpha), wide, {}, lambda x, p: F.elu(x, alpha))
for name, c in {"softplus": dict(beta=1.0, threshold=20.0), "softplus_options": dict(beta=2.0, threshold=5.0)}.items():
    case(f"act_{name}", "Softplus", c, wide, {}, lambda x, p: F.softplus(x, **c))

# ---- weight normalisation: torch's parametrization of a Conv3d, whose dim 0 is the output channel


def weight_norm_conv(stride, groups):
    def f(x, p):
        v, g = p["direction"].permute(4, 3, 0, 1, 2), p["magnitude"].permute(4, 3, 0, 1, 2)
        module = weight_norm(torch.nn.Conv3d(x.shape[-1], v.shape[0], 3, stride, 1, groups=groups))
        replaced = {"parametrizations.weight.original0": g, "parametrizations.weight.original1": v, "bias": p["bias"].flatten()}
        return last(torch.func.functional_call(module, replaced, (first(x),)))
    return f


for name, stride, groups in [("", 1, 1), ("_groups_stride", 2, 2)]:
    case(f"weight_norm_conv{name}", "WeightNormConv3d", dict(in_size=[4, 5, 3, 4], out_channels=6, kernel_size=3, stride=stride, padding=1, groups=groups), values(rng, (2, 4, 5, 3, 4)),
         {"direction": values(rng, (3, 3, 3, 4 // groups, 6), .5), "magnitude": 1 + np.abs(values(rng, (1, 1, 1, 1, 6))), "bias": values(rng, (1, 1, 1, 6))}, weight_norm_conv(stride, groups))

# ---- blocks


def squeeze_excite(x, p):
    s = x.mean((1, 2, 3)) @ p["squeeze.weight"] + p["squeeze.bias"]
    return x * torch.sigmoid(F.relu(s) @ p["excite.weight"] + p["excite.bias"])[:, None, None, None]


case("squeeze_excite", "SqueezeExcite3d", dict(in_size=[3, 2, 4, 6], reduction=2), values(rng, (2, 3, 2, 4, 6)),
     {"squeeze.weight": values(rng, (6, 3)), "squeeze.bias": values(rng, 3), "excite.weight": values(rng, (3, 6)), "excite.bias": values(rng, 6)}, squeeze_excite)


def conv(x, w, stride):
    return last(F.conv3d(first(x), w.permute(4, 3, 0, 1, 2), None, stride, w.shape[0] // 2))


def norm(kind, x, p, at, groups):
    scale, bias = p[at + ".scale"], p[at + ".bias"]
    if kind == "batch":
        return last(F.batch_norm(first(x), None, None, scale.flatten(), bias.flatten(), training=True))
    return last(F.group_norm(first(x), x.shape[-1] if kind == "instance" else groups, scale, bias))


def residual(kernels, stride_at, stride, kind, groups, act):
    """conv, norm (, act): layers 0, 1 (, 2) of `main`, repeated for each kernel; `shortcut`: conv, norm."""
    def f(x, p):
        y = x
        for i in range(len(kernels)):
            y = norm(kind, conv(y, p[f"main.layers.{3 * i}.weight"], stride if i == stride_at else 1), p, f"main.layers.{3 * i + 1}", groups)
            y = act(y) if i + 1 < len(kernels) else y
        if "shortcut.layers.0.weight" in p:
            x = norm(kind, conv(x, p["shortcut.layers.0.weight"], stride), p, "shortcut.layers.1", groups)
        return act(y + x)
    return f


def residual_states(kernels, widths, kind, shortcut):
    shape = lambda c: (1, 1, 1, c) if kind == "batch" else (c,)
    p = {}
    convs = [(f"main.layers.{3 * i}", f"main.layers.{3 * i + 1}", k, a, b) for i, (k, a, b) in enumerate(zip(kernels, widths, widths[1:]))]
    for at, after, k, a, b in convs + ([("shortcut.layers.0", "shortcut.layers.1", 1, widths[0], widths[-1])] if shortcut else []):
        p[at + ".weight"] = values(rng, (k, k, k, a, b), .25)
        p[after + ".scale"], p[after + ".bias"] = 1 + values(rng, shape(b), .25), values(rng, shape(b), .5)
    return p


x = values(rng, (2, 4, 5, 3, 4))
for name, layer, widths, c in [
        ("residual_block", "ResidualBlock3d", [4, 4, 4], dict(norm="batch", activation="relu", stride=1)),
        ("residual_block_stride", "ResidualBlock3d", [4, 6, 6], dict(norm="batch", activation="relu", stride=2)),
        ("residual_block_group", "ResidualBlock3d", [4, 6, 6], dict(norm="group", num_groups=2, activation="silu", stride=1)),
        ("bottleneck_block_stride", "BottleneckBlock3d", [4, 2, 2, 8], dict(norm="batch", activation="relu", stride=2)),
        ("bottleneck_block_instance", "BottleneckBlock3d", [4, 2, 2, 4], dict(norm="instance", activation="gelu", stride=1, expansion=2))]:
    kernels, stride_at = ([3, 3], 0) if layer == "ResidualBlock3d" else ([1, 3, 1], 1)
    shortcut = c["stride"] != 1 or widths[0] != widths[-1]
    act = dict(relu=F.relu, silu=F.silu, gelu=F.gelu)[c["activation"]]
    case(name, layer, dict(in_size=[4, 5, 3, 4], channels=widths[1], out_channels=widths[-1], **c), x, residual_states(kernels, widths, c["norm"], shortcut),
         residual(kernels, stride_at, c["stride"], c["norm"], c.get("num_groups", 8), act), "train")

# ---- trilinear upsampling by factors that are not integers

for name, factor in {"": [1.5, 2.5, 0.7], "_whole": [2.0, 1.0, 3.0]}.items():
    case(f"upsample_trilinear_factor{name}", "Upsample", dict(scale_factor=factor, mode="trilinear", align_corners=False), values(rng, (2, 3, 2, 4, 3)), {},
         lambda x, p: last(F.interpolate(first(x), scale_factor=tuple(factor), mode="trilinear", align_corners=False)))
case("upsample_trilinear_factor_corners", "Upsample", dict(scale_factor=[1.5, 2.5, 0.7], mode="trilinear", align_corners=True), values(rng, (2, 3, 2, 4, 3)), {},
     lambda x, p: last(F.interpolate(first(x), scale_factor=(1.5, 2.5, 0.7), mode="trilinear", align_corners=True)))
