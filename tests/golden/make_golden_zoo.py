"""Write reference cases for the model zoo (float64): zoo/*.json, with the schema of layers/*.json.

usage: make_golden_zoo.py [OUT_DIR=zoo]     (needs what make_golden_layers.py needs, and monai; CPU)
SegResNet and MedNeXt are MONAI's modules. UNet3d, ResNet3d and R2Plus1D18 are written here in PyTorch's functions, after nnU-Net's PlainConvUNet and
torchvision's models.video.resnet. States have the names of voxgrad's: a net is a Sequential, `layers.2` its third module.
"""
import sys
from golden_common import *
import torch.nn.functional as F
import monai
from monai.networks.nets import SegResNet
from monai.networks.nets.mednext import MedNeXt
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "zoo")
rng = np.random.default_rng(20261125)


class States(dict):
    """Draws a state when it is first used."""

    def draw(self, name, shape, scale, shift=0.0):
        if name not in self:
            self[name] = torch.tensor(values(rng, shape, scale) + shift, requires_grad=True)
        return self[name]

    def conv(self, x, at, o, k, stride=1, bias=False, padding=None):
        k = (k,) * 3 if isinstance(k, int) else k
        w = self.draw(at + ".weight", (*k, x.shape[-1], o), (2 / (np.prod(k) * x.shape[-1])) ** .5)
        b = self.draw(at + ".bias", (1, 1, 1, o), .5).flatten() if bias else None
        return last(F.conv3d(first(x), w.permute(4, 3, 0, 1, 2), b, stride, [v // 2 for v in k] if padding is None else padding))

    def affine(self, at, shape):
        return self.draw(at + ".scale", shape, .25, 1).flatten(), self.draw(at + ".bias", shape, .25).flatten()

    def batch_norm(self, x, at):
        return last(F.batch_norm(first(x), None, None, *self.affine(at, (1, 1, 1, x.shape[-1])), training=True))

    def instance_norm(self, x, at):
        w, b = self.affine(at, (x.shape[-1],))
        return last(F.instance_norm(first(x), weight=w, bias=b))

    def linear(self, x, at, o):
        return x @ self.draw(at + ".weight", (x.shape[-1], o), .5) + self.draw(at + ".bias", (o,), .5)


def write(name, net, oracle, config, x, p, y):
    g = values(rng, tuple(y.shape))
    grads = torch.autograd.grad(y, [x, *p.values()], torch.tensor(g))
    save(os.path.join(out, name + ".json"), dict(
        name=name, layer=net, oracle=oracle, config=config, mode="train", inputs=pack_all({"x": x}), states=pack_all(p), output=pack(y), grad_output=pack(g),
        grads=pack_all(dict(zip(["x", *p], grads))), new_states=None))


def case(name, net, config, f):
    x, p = torch.tensor(values(rng, (2, *config["in_size"])), requires_grad=True), States()
    write(name, net, TORCH, config, x, p, f(x, p, config))


def unet3d(x, p, c, at="", stage=0):
    f, i = c["features"], 0

    def block(x, stride):
        nonlocal i
        x = F.leaky_relu(p.instance_norm(p.conv(x, f"{at}layers.{i}", f[stage], 3, stride, True), f"{at}layers.{i + 1}"), .01)
        i += 3
        return x
    x = block(block(x, 1 if stage == 0 else 2), 1)
    if stage + 1 < len(f):
        y = unet3d(x, p, c, f"{at}layers.{i}.branches.0.", stage + 1)
        n = 6 if stage + 2 == len(f) else 13
        w = p.draw(f"{at}layers.{i}.branches.0.layers.{n}.weight", (2, 2, 2, f[stage], f[stage + 1]), .4)
        b = p.draw(f"{at}layers.{i}.branches.0.layers.{n}.bias", (1, 1, 1, f[stage]), .5)
        y = last(F.conv_transpose3d(first(y), w.permute(4, 3, 0, 1, 2), b.flatten(), 2))
        i += 1
        x = block(block(torch.cat((y, x), -1), 1), 1)
    return p.conv(x, f"layers.{i}", c["out_channels"], 1, 1, True) if stage == 0 else x


case("unet3d", "UNet3d", dict(in_size=[8, 4, 8, 2], out_channels=3, features=[2, 3, 4]), unet3d)


def resnet3d(x, p, c):
    x = F.relu(p.batch_norm(p.conv(x, "layers.0", c["widths"][0], (3, 7, 7), (1, 2, 2)), "layers.1"))
    i = 3
    for stage, (blocks, width) in enumerate(zip(c["blocks"], c["widths"])):
        for block in range(blocks):
            at, stride = f"layers.{i}.", 2 if stage > 0 and block == 0 else 1
            y = F.relu(p.batch_norm(p.conv(x, at + "main.layers.0", width, 3, stride), at + "main.layers.1"))
            y = p.batch_norm(p.conv(y, at + "main.layers.3", width, 3), at + "main.layers.4")
            if stride != 1 or x.shape[-1] != width:
                x = p.batch_norm(p.conv(x, at + "shortcut.layers.0", width, 1, stride), at + "shortcut.layers.1")
            x, i = F.relu(x + y), i + 1
    return p.linear(x.mean((1, 2, 3)), f"layers.{i + 1}", c["classes"])


case("resnet3d", "ResNet3d", dict(in_size=[4, 8, 8, 2], classes=3, blocks=[1, 2], widths=[2, 3]), resnet3d)


def r2plus1d(x, p, c):
    def split(x, at, i, between, width, stride):
        x = F.relu(p.batch_norm(p.conv(x, f"{at}layers.{i}", between, (1, 3, 3), (1, stride, stride)), f"{at}layers.{i + 1}"))
        return p.batch_norm(p.conv(x, f"{at}layers.{i + 3}", width, (3, 1, 1), (stride, 1, 1)), f"{at}layers.{i + 4}")
    x = F.relu(p.batch_norm(p.conv(x, "layers.0", 45, (1, 7, 7), (1, 2, 2)), "layers.1"))
    x = F.relu(p.batch_norm(p.conv(x, "layers.3", c["widths"][0], (3, 1, 1)), "layers.4"))
    i = 6
    for stage, (blocks, width) in enumerate(zip(c["blocks"], c["widths"])):
        for block in range(blocks):
            at, stride, n = f"layers.{i}.branches.", 2 if stage > 0 and block == 0 else 1, x.shape[-1]
            between = n * width * 27 // (n * 9 + 3 * width)
            y = split(F.relu(split(x, at + "0.", 0, between, width, stride)), at + "0.", 6, between, width, 1)
            if stride != 1 or n != width:
                x = p.batch_norm(p.conv(x, at + "1.layers.0", width, 1, stride), at + "1.layers.1")
            x, i = F.relu(x + y), i + 2
    return p.linear(x.mean((1, 2, 3)), f"layers.{i + 1}", c["classes"])


case("r2plus1d", "R2Plus1D18", dict(in_size=[4, 8, 8, 1], classes=3, blocks=[1, 1], widths=[2, 3]), r2plus1d)

# ---- MONAI's modules


def monai_case(name, net, config, module, pairs):
    """`pairs` of voxgrad's and MONAI's modules. Kernels: (kh, kw, kd, in, out) from (out, in, ...); of transposed ones (kh, kw, kd, out, in) from (in, out, ...)."""
    module = module.double().train()
    theirs = dict(module.named_modules())
    p = {}
    for ours, name_there in pairs:
        m = theirs[name_there]
        transposed, norm = isinstance(m, torch.nn.ConvTranspose3d), isinstance(m, torch.nn.GroupNorm)
        with torch.no_grad():
            for t, scale in ((m.weight, .25 if norm else (1 / max(1, m.weight[0].numel())) ** .5), (m.bias, .25)):
                if t is not None: t.copy_(torch.tensor(values(rng, t.shape, scale) + (norm and t is m.weight)))
        if norm:
            p[ours + ".scale"], p[ours + ".bias"] = m.weight, m.bias
            continue
        as_conv = transposed and name_there == "out_0.conv_out"      # a 1 x 1 x 1 kernel, which is the same as a convolution
        order = (2, 3, 4, 0, 1) if as_conv or (transposed and m.groups > 1) else (2, 3, 4, 1, 0)
        p[ours + ".weight"] = (m.weight, order)
        if m.bias is not None: p[ours + ".bias"] = m.bias
    assert sum(1 for _ in module.parameters()) == len(p)
    x = torch.tensor(values(rng, (2, *config["in_size"])), requires_grad=True)
    y = last(module(first(x)))
    g = values(rng, tuple(y.shape))
    grads = torch.autograd.grad(y, [x, *(v[0] if isinstance(v, tuple) else v for v in p.values())], torch.tensor(g))

    def ours_of(v, like):
        if isinstance(like, tuple): return v.permute(*like[1])
        return v
    conv_bias = lambda k, v: v.reshape(1, 1, 1, -1) if k.endswith(".bias") and k[:-5] + ".weight" in p else v
    states = {k: conv_bias(k, ours_of(v[0] if isinstance(v, tuple) else v, v)) for k, v in p.items()}
    d = {"x": grads[0], **{k: conv_bias(k, ours_of(dv, p[k])) for k, dv in zip(p, grads[1:])}}
    save(os.path.join(out, name + ".json"), dict(
        name=name, layer=net, oracle=f"monai {monai.__version__}, {TORCH}", config=config, mode="train", inputs=pack_all({"x": x}), states=pack_all(states),
        output=pack(y), grad_output=pack(g), grads=pack_all(d), new_states=None))


def segresnet_pairs(down, up):
    pairs = [("layers.0", "convInit.conv")]

    def blocks(at, i, names):
        for n in names:
            b = f"{at}layers.{i}.branches.0.layers."
            pairs.extend([(b + "0", n + ".norm1"), (b + "2", n + ".conv1.conv"), (b + "3", n + ".norm2"), (b + "5", n + ".conv2.conv")])
            i += 1
        return i

    def level(at, i, stage):
        i = blocks(at, i, [f"down_layers.{stage}.{j + 1}" for j in range(down[stage])])
        if stage + 1 == len(down): return i
        below, u = f"{at}layers.{i}.branches.0.", len(down) - 2 - stage
        pairs.append((below + "layers.0", f"down_layers.{stage + 1}.0.conv"))
        k = level(below, 1, stage + 1)
        pairs.append((f"{below}layers.{k}", f"up_samples.{u}.0.conv"))
        return blocks(at, i + 1, [f"up_layers.{u}.{j}" for j in range(up[u])])
    i = level("", 1, 0)
    return pairs + [(f"layers.{i}", "conv_final.0"), (f"layers.{i + 2}", "conv_final.2.conv")]


def mednext_pairs(n):
    pairs = [("layers.0", "stem")]

    def block(at, i, name, resampled=False):
        b = f"{at}layers.{i}.branches."
        pairs.extend([(b + "0.layers.0", name + ".conv1"), (b + "0.layers.1", name + ".norm"), (b + "0.layers.2", name + ".conv2"), (b + "0.layers.4", name + ".conv3")])
        if resampled: pairs.append((b + "1.layers.0", name + ".res_conv"))
        return i + 1

    def level(at, i, stage):
        end = stage + 1 == len(n)
        for j in range(n[stage]): i = block(at, i, f"bottleneck.{j}" if end else f"enc_stages.{stage}.{j}")
        if end: return i
        below, u = f"{at}layers.{i}.branches.0.", len(n) - 2 - stage
        block(below, 0, f"down_blocks.{stage}", True)
        block(below, level(below, 1, stage + 1), f"up_blocks.{u}", True)
        i += 1
        for j in range(n[stage]): i = block(at, i, f"dec_stages.{u}.{j}")
        return i
    i = level("", 1, 0)
    return pairs + [(f"layers.{i}", "out_0.conv_out")]


down, up = [1, 2, 1], [1, 1]
monai_case("segresnet", "SegResNet", dict(in_size=[8, 4, 8, 2], out_channels=3, init_filters=2, blocks_down=down, blocks_up=up, num_groups=2),
           SegResNet(init_filters=2, in_channels=2, out_channels=3, blocks_down=down, blocks_up=up, norm=("group", dict(num_groups=2))), segresnet_pairs(down, up))
n = [1, 2, 1]
monai_case("mednext", "MedNeXtS", dict(in_size=[8, 4, 8, 2], out_channels=3, init_filters=2, blocks=n),
           MedNeXt(init_filters=2, in_channels=2, out_channels=3, encoder_expansion_ratio=2, decoder_expansion_ratio=2, bottleneck_expansion_ratio=2, kernel_size=3,
                   use_residual_connection=True, blocks_down=n[:-1], blocks_bottleneck=n[-1], blocks_up=n[:-1][::-1], deep_supervision=False), mednext_pairs(n))
