"""Write reference cases for layers, activations, losses and dropout (float64): layers/*.json.

usage: make_golden_layers.py [OUT_DIR=layers]     (needs: brainstate 0.6.0, so Python 3.12 and jax 0.9 or later; torch; CPU)
Every case with a brainstate oracle is also computed by PyTorch, and both must agree to 1e-11. The schema is in README.md.
"""
import os, subprocess, sys
from golden_common import *
import torch.nn.functional as F
nn = brainstate.nn
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers")
rng = np.random.default_rng(20261123)
X = (2, 3, 2, 4, 6)                       # the usual input: B, H, W, D, C


def write(name, layer, oracle, config, mode, inputs, states, output, grad_output, grads, new_states=None, **more):
    save(os.path.join(out, name + ".json"), dict(
        name=name, layer=layer, oracle=oracle, config=config, mode=mode, inputs=pack_all(inputs), states=pack_all(states),
        output=pack(output), grad_output=pack(grad_output), grads=pack_all(grads),
        new_states=None if new_states is None else pack_all(new_states), **more))


def torch_grads(f, x, p, g):
    """Output and gradients of f(x, p), in channels-last arrays, by PyTorch."""
    x = torch.tensor(x, requires_grad=True)
    p = {k: torch.tensor(v, requires_grad=True) for k, v in p.items()}
    y = f(x, p)
    g = torch.tensor(g(tuple(y.shape)) if callable(g) else g)
    d = torch.autograd.grad(y, [x, *p.values()], g)
    return y, g, dict(zip(["x", *p], d))


def torch_case(name, layer, config, x, p, f, mode=None):
    y, g, grads = torch_grads(f, x, p, lambda shape: values(rng, shape))
    write(name, layer, TORCH, config, mode, {"x": x}, p, y, g, grads)


# ---- brainstate layers

def brainstate_case(name, layer, config, reference, x=X, mode=None, fixed=(), make=None, **arrays):
    """`arrays` replace parameters at random; `fixed` are arrays that are not parameters (masks); `reference` computes the same in PyTorch."""
    x = values(rng, x) if isinstance(x, tuple) else x
    module = make() if make else getattr(nn, layer)(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}, **dict(fixed))
    states = list(module.states().values()) if isinstance(module, nn.Module) else []
    trained = [s for s in states if isinstance(s, brainstate.ParamState)]
    for s in trained:
        s.value = {k: jnp.asarray(values(rng, v.shape, .5) + (k in ("scale", "gain"))) for k, v in s.value.items()}
    running = {k: getattr(module, k) for k in ("running_mean", "running_var") if getattr(module, k, None) is not None}
    if running:
        running["running_mean"].value = jnp.asarray(values(rng, running["running_mean"].value.shape))
        running["running_var"].value = jnp.asarray(1 + np.abs(values(rng, running["running_var"].value.shape)))
    p = {k: np.asarray(v) for s in trained for k, v in s.value.items()}
    before = {k: np.asarray(s.value) for k, s in running.items()}
    x = jnp.asarray(x)
    with brainstate.environ.context(fit=mode == "train"):
        y = module(x)
        g = values(rng, y.shape)
        after = {k: s.value for k, s in running.items()}
        loss = lambda x: (module(x) * g).sum()
        if trained:
            dp, dx = brainstate.transform.grad(loss, dict(enumerate(trained)), argnums=0)(x)
        else:
            dp, dx = {}, jax.grad(loss)(x) if not running else brainstate.transform.grad(loss, argnums=0)(x)
    grads = {"x": dx, **{k: v for d in dp.values() for k, v in d.items()}}
    ty, _, tg = torch_grads(lambda x, p: reference(x, {**p, **{k: torch.tensor(v) for k, v in before.items()}}), np.asarray(x), p, g)
    worst = max(difference({"y": y}, {"y": ty.detach()}), difference(grads, tg))
    assert worst < 1e-11, (name, worst)
    print(f"{name:36s} brainstate and torch differ by {worst:.1e}")
    for k, v in dict(fixed).items():
        before[k] = v
    write(name, layer, BRAINSTATE, config, mode, {"x": x}, {**p, **before}, y, g, grads,
          after if mode == "train" else None, checked_against=TORCH)


def linear(x, p): return x @ p["weight"] + p.get("bias", 0)
brainstate_case("linear_bias", "Linear", dict(in_size=[5], out_size=[4]), linear, (3, 5))
brainstate_case("linear_no_bias", "Linear", dict(in_size=[5], out_size=[4], b_init=None), linear, (3, 5))
brainstate_case("linear_volume", "Linear", dict(in_size=[2, 3, 2, 5], out_size=[2, 3, 2, 4]), linear, (2, 2, 3, 2, 5))


def batch_norm(eps, train):
    def f(x, p):
        m, v = (x.mean((0, 1, 2, 3)), x.var((0, 1, 2, 3), correction=0)) if train else (p["running_mean"].flatten(), p["running_var"].flatten())
        y = F.batch_norm(first(x), None if train else m, None if train else v, training=train, eps=eps)
        y = last(y)
        return y * p["scale"] + p["bias"] if "scale" in p else y
    return f


for mode in ("train", "eval"):
    brainstate_case(f"batch_norm_{mode}", "BatchNorm3d", dict(in_size=[*X[1:]]), batch_norm(1e-5, mode == "train"), mode=mode)
    brainstate_case(f"batch_norm_options_{mode}", "BatchNorm3d", dict(in_size=[*X[1:]], epsilon=1e-2, momentum=.75, affine=False),
                    batch_norm(1e-2, mode == "train"), mode=mode)
for name, extra in {"group_norm_3": dict(num_groups=3), "group_norm_1": dict(num_groups=1), "group_norm_channels": dict(num_groups=6),
                    "group_norm_size": dict(num_groups=None, group_size=3), "group_norm_options": dict(num_groups=2, epsilon=1e-2, use_scale=False),
                    "group_norm_not_affine": dict(num_groups=2, use_scale=False, use_bias=False)}.items():
    groups, eps = extra["num_groups"] or 6 // extra["group_size"], extra.get("epsilon", 1e-6)
    brainstate_case(name, "GroupNorm", dict(in_size=[6], **extra), lambda x, p: last(F.group_norm(first(x), groups, eps=eps)) * p.get("scale", 1) + p.get("bias", 0))


def layer_norm(axes, eps):
    return lambda x, p: (x - x.mean(axes, True)) / (x.var(axes, correction=0, keepdim=True) + eps).sqrt() * p.get("scale", 1) + p.get("bias", 0)


brainstate_case("layer_norm", "LayerNorm", dict(in_size=[*X[1:]]), layer_norm((-1,), 1e-6))
brainstate_case("layer_norm_features", "LayerNorm", dict(in_size=[7], epsilon=1e-2, use_bias=False), layer_norm((-1,), 1e-2), (4, 7))
brainstate_case("layer_norm_volume", "LayerNorm", dict(in_size=[*X[1:]], reduction_axes=[-4, -3, -2, -1], feature_axes=-1), layer_norm((-4, -3, -2, -1), 1e-6))


def pool(kind, k, s, padding):
    def f(x, p):
        size = x.shape[1:4]
        pads = [(0, 0)] * 3 if padding == "VALID" else [same_padding(*v) for v in zip(size, k, s)] if padding == "SAME" else padding
        flat = [v for pair in reversed(pads) for v in pair]
        x = first(x)
        if kind == "MaxPool3d":
            return last(F.max_pool3d(F.pad(x, flat, value=-np.inf), k, s))
        ones = F.pad(torch.ones_like(x), flat)
        return last(F.avg_pool3d(F.pad(x, flat), k, s) / F.avg_pool3d(ones, k, s).clamp_min(1e-300))
    return f


V = (2, 5, 4, 5, 2)
for kind, short in (("MaxPool3d", "max_pool"), ("AvgPool3d", "avg_pool")):
    for name, c, k, s, pad in [
            ("default_stride", dict(kernel_size=2), 2, 2 if short == "max_pool" else 1, "VALID"),     # the default stride of AvgPool3d is 1
            ("k2", dict(kernel_size=2, stride=2), 2, 2, "VALID"), ("k3_s2", dict(kernel_size=3, stride=2), 3, 2, "VALID"),
            ("k3_s1_same", dict(kernel_size=3, stride=1, padding="SAME"), 3, 1, "SAME"), ("k3_s2_same", dict(kernel_size=3, stride=2, padding="SAME"), 3, 2, "SAME"),
            ("k2_same", dict(kernel_size=2, stride=2, padding="SAME"), 2, 2, "SAME"), ("k3_s2_pad1", dict(kernel_size=3, stride=2, padding=1), 3, 2, [(1, 1)] * 3),
            ("aniso", dict(kernel_size=[1, 2, 3], stride=[1, 2, 2], padding="VALID"), (1, 2, 3), (1, 2, 2), "VALID"),
            ("asymmetric", dict(kernel_size=[2, 3, 3], stride=[2, 1, 2], padding=[[0, 1], [1, 0], [2, 1]]), (2, 3, 3), (2, 1, 2), [(0, 1), (1, 0), (2, 1)])]:
        k, s = [(v,) * 3 if isinstance(v, int) else v for v in (k, s)]
        kw = {a: tuple(tuple(e) if isinstance(e, list) else e for e in v) if isinstance(v, list) else v for a, v in c.items()}
        brainstate_case(f"{short}_{name}", kind, c, pool(kind, k, s, pad), V, make=lambda: getattr(nn, kind)(**kw))
brainstate_case("max_pool_ties", "MaxPool3d", dict(kernel_size=3, stride=2), pool("MaxPool3d", (3,) * 3, (2,) * 3, "VALID"),
                rng.integers(-1, 2, (2, 5, 4, 5, 2)).astype(float))     # many equal maxima; the gradient goes to the first in row-major order


def scaled_ws(groups, eps, stride, padding, mask):
    def f(x, p):
        w = p["weight"]
        fan_in = w[..., 0].numel()
        mean, var = w.mean((0, 1, 2, 3)), w.var((0, 1, 2, 3), correction=0)
        w = (w - mean) * p.get("gain", torch.ones(w.shape[-1])).flatten() / (var * fan_in).clamp_min(eps).sqrt()
        w = w * torch.tensor(mask) if mask is not None else w
        pads = [same_padding(n, k, stride) for n, k in zip(x.shape[1:4], w.shape)] if padding == "SAME" else [(0, 0)] * 3
        x = F.pad(first(x), [v for pair in reversed(pads) for v in pair])
        return last(F.conv3d(x, w.permute(4, 3, 0, 1, 2), None, stride, groups=groups)) + p.get("bias", 0)
    return f


base = dict(in_size=[3, 4, 3, 4], out_channels=4, kernel_size=3)
for name, c in {"plain": {}, "bias": dict(bias=1), "groups": dict(groups=2, bias=1), "mask": dict(mask=1), "groups_mask_stride": dict(groups=2, mask=1, stride=2, bias=1),
                "no_gain": dict(ws_gain=False, bias=1), "eps_large": dict(eps=30.0), "valid_k2": dict(kernel_size=2, padding="VALID")}.items():
    bias, masked = c.pop("bias", 0), c.pop("mask", 0)
    c = {**base, **c}
    k, g = c["kernel_size"], c.get("groups", 1)
    mask = (rng.random((k, k, k, 4 // g, 4)) < .6).astype(float) if masked else None
    brainstate_case(f"scaled_ws_conv_{name}", "ScaledWSConv3d", c, scaled_ws(g, c.get("eps", 1e-4), c.get("stride", 1), c.get("padding", "SAME"), mask),
                    (2, 3, 4, 3, 4), fixed=[("w_mask", mask)] if masked else [],
                    make=lambda: nn.ScaledWSConv3d(**{**c, "in_size": tuple(c["in_size"])}, w_mask=mask if masked else None, b_init=nn.init.ZeroInit() if bias else None))

# ---- activations (functions of brainstate.nn)

wide = np.concatenate([values(rng, 40, 2.0), [0.0, -30.0, 30.0, -100.0, 100.0, 1e-3, -1e-3, 6.0]]).reshape(2, 2, 3, 4)
no_zero = np.where(wide == 0, .5, wide)
for name, f, c, ref, x in [
        ("relu", nn.relu, {}, F.relu, wide), ("sigmoid", nn.sigmoid, {}, torch.sigmoid, wide), ("tanh", nn.tanh, {}, torch.tanh, wide), ("silu", nn.silu, {}, F.silu, wide),
        ("leaky_relu", nn.leaky_relu, {}, lambda x: F.leaky_relu(x, .01), no_zero), ("leaky_relu_slope", lambda x: nn.leaky_relu(x, .2), dict(negative_slope=.2), lambda x: F.leaky_relu(x, .2), no_zero),
        ("gelu", nn.gelu, {}, lambda x: F.gelu(x, approximate="tanh"), wide), ("gelu_tanh", lambda x: nn.gelu(x, True), dict(approximate=True), lambda x: F.gelu(x, approximate="tanh"), wide),
        ("gelu_erf", lambda x: nn.gelu(x, False), dict(approximate=False), F.gelu, wide),
        ("softmax", nn.softmax, {}, lambda x: F.softmax(x, -1), wide), ("log_softmax", nn.log_softmax, {}, lambda x: F.log_softmax(x, -1), wide),
        ("softmax_axis", lambda x: nn.softmax(x, 1), dict(axis=1), lambda x: F.softmax(x, 1), wide), ("log_softmax_axis", lambda x: nn.log_softmax(x, 1), dict(axis=1), lambda x: F.log_softmax(x, 1), wide)]:
    layer = name.split("_slope")[0].split("_axis")[0].replace("gelu_tanh", "gelu").replace("gelu_erf", "gelu")
    brainstate_case("act_" + name, layer, c, lambda x, p: ref(x), x, make=lambda: f)

# ---- PyTorch layers, in channels-last arrays

x = values(rng, X) + 1
torch_case("instance_norm", "InstanceNorm3d", dict(channels=6, eps=1e-5, affine=False), x, {}, lambda x, p: last(F.instance_norm(first(x), eps=1e-5)))
torch_case("instance_norm_affine", "InstanceNorm3d", dict(channels=6, eps=1e-5, affine=True), x, {"scale": values(rng, 6, .5) + 1, "bias": values(rng, 6)},
           lambda x, p: last(F.instance_norm(first(x), weight=p["scale"], bias=p["bias"], eps=1e-5)))
x = values(rng, (2, 3, 2, 4, 3))
for name, scale in {"2": [2, 2, 2], "axes": [1, 3, 2]}.items():
    up = lambda x, **kw: last(F.interpolate(first(x), scale_factor=tuple(float(s) for s in scale), **kw))
    torch_case(f"upsample_nearest_{name}", "Upsample", dict(scale=scale, mode="nearest"), x, {}, lambda x, p: up(x, mode="nearest"))
    for corners in (False, True):
        torch_case(f"upsample_trilinear_{name}{'_corners' if corners else ''}", "Upsample", dict(scale=scale, mode="trilinear", align_corners=corners), x, {},
                   lambda x, p: up(x, mode="trilinear", align_corners=corners))
for kind in ("avg", "max"):
    x = values(rng, (2, 5, 4, 7, 3))
    torch_case(f"global_{kind}_pool", f"Global{kind.title()}Pool3d", {}, x, {}, lambda x, p: x.mean((1, 2, 3)) if kind == "avg" else x.amax((1, 2, 3)))
    torch_case(f"adaptive_{kind}_pool", f"Adaptive{kind.title()}Pool3d", dict(target_size=[2, 4, 3]), x, {}, lambda x, p: last(getattr(F, f"adaptive_{kind}_pool3d")(first(x), (2, 4, 3))))
for name, stride, multiplier, bias in [("same", 1, 1, True), ("stride2", 2, 1, False), ("multiplier", 1, 2, True)]:
    C, O = 4, 5
    p = {"depthwise.weight": values(rng, (3, 3, 3, 1, C * multiplier), .5), "pointwise.weight": values(rng, (1, 1, 1, C * multiplier, O), .5)}
    if bias: p.update({"depthwise.bias": values(rng, (1, 1, 1, C * multiplier)), "pointwise.bias": values(rng, (1, 1, 1, O))})

    def f(x, p):
        pads = [same_padding(n, 3, stride) for n in x.shape[1:4]]
        y = F.conv3d(F.pad(first(x), [v for pair in reversed(pads) for v in pair]), p["depthwise.weight"].permute(4, 3, 0, 1, 2), stride=stride, groups=C)
        y = y if "depthwise.bias" not in p else y + p["depthwise.bias"].reshape(1, -1, 1, 1, 1)
        return last(F.conv3d(y, p["pointwise.weight"].permute(4, 3, 0, 1, 2))) + p.get("pointwise.bias", 0)
    torch_case(f"depthwise_separable_{name}", "DepthwiseSeparableConv3d", dict(in_size=[4, 5, 3, C], out_channels=O, kernel_size=3, stride=stride, padding="SAME", multiplier=multiplier, bias=bias),
               values(rng, (2, 4, 5, 3, C)), p, f)

# ---- losses

K = 5
logits = values(rng, (2, 3, 4, 2, K), 2.0)
labels = rng.integers(0, K, logits.shape[:-1])
ignored = np.where(rng.random(labels.shape) < .3, -100, labels)
weights = np.array([.25, 1.0, 2.0, 1.5, .5])


def loss_case(name, layer, config, first_input, inputs, f):
    """`first_input` names the differentiable input; the others stay constant."""
    constant = {k: torch.tensor(v) for k, v in inputs.items() if k != first_input}
    y, g, d = torch_grads(lambda x, p: f(x, **constant), inputs[first_input], {}, lambda shape: values(rng, shape, .5) + 1.5)
    write(name, layer, TORCH, config, None, inputs, {}, y, g, {first_input: d["x"]})


def cross_entropy(config):
    return lambda x, labels, class_weights=None: F.cross_entropy(first(x), labels, class_weights, **config)


for name, c, y, w in [("plain", {}, labels, 0), ("weights", {}, labels, 1), ("ignore_index", dict(ignore_index=-100), ignored, 0), ("ignore_class_0", dict(ignore_index=0), labels, 0),
                      ("label_smoothing", dict(label_smoothing=.1), labels, 0), ("smoothing_weights", dict(label_smoothing=.1), labels, 1), ("all", dict(ignore_index=-100, label_smoothing=.2), ignored, 1),
                      ("sum", dict(reduction="sum"), labels, 1), ("none", dict(reduction="none"), labels, 0)]:
    loss_case(f"loss_cross_entropy_{name}", "cross_entropy", dict(reduction="mean", ignore_index=-100, label_smoothing=0.0) | c, "x",
              {"x": logits, "labels": y, **({"class_weights": weights} if w else {})}, cross_entropy(c))
big = logits.copy(); big.ravel()[:6] = [200, -200, 800, -800, 50, -50]
loss_case("loss_cross_entropy_large_logits", "cross_entropy", dict(reduction="mean", ignore_index=-100, label_smoothing=0.0), "x", {"x": big, "labels": labels}, cross_entropy({}))
loss_case("loss_cross_entropy_2d", "cross_entropy", dict(reduction="mean", ignore_index=-100, label_smoothing=0.0), "x", {"x": values(rng, (6, 4)), "labels": rng.integers(0, 4, 6)},
          lambda x, labels: F.cross_entropy(x, labels))
targets = np.round(rng.random(logits.shape), 2)
bce = lambda x, target, pos_weight=None, **kw: F.binary_cross_entropy_with_logits(x, target, pos_weight=pos_weight, **kw)
loss_case("loss_bce", "binary_cross_entropy_with_logits", dict(reduction="mean"), "x", {"x": logits, "target": (targets > .5) * 1.0}, bce)
loss_case("loss_bce_soft_large", "binary_cross_entropy_with_logits", dict(reduction="mean"), "x", {"x": big, "target": targets}, bce)
loss_case("loss_bce_pos_weight", "binary_cross_entropy_with_logits", dict(reduction="mean"), "x", {"x": logits, "target": (targets > .5) * 1.0, "pos_weight": np.array([.5, 1., 2., 3., 1.5])}, bce)
for name, f in {"mse": F.mse_loss, "l1": F.l1_loss}.items():
    y = values(rng, logits.shape)
    y.ravel()[:3] = logits.ravel()[:3]              # equal values, because the gradient of |0| is 0
    loss_case(f"loss_{name}", name, dict(reduction="mean"), "x", {"x": logits, "target": y}, lambda x, target: f(x, target))


def dice(x, labels, include_background, eps=1e-5):
    p, one_hot = x.softmax(-1), F.one_hot(labels, x.shape[-1]).to(x.dtype)
    overlap, total = (p * one_hot).sum((0, 1, 2, 3)), (p + one_hot).sum((0, 1, 2, 3))
    start = 0 if include_background else 1
    return 1 - (2 * overlap[start:] / (total[start:] + eps)).mean()


absent = np.where(labels == 3, 1, labels)           # class 3 never occurs
for bg in (False, True):
    end, c = "_background" if bg else "", dict(include_background=bg, eps=1e-5)
    loss_case(f"loss_dice{end}", "dice", c, "x", {"x": logits, "labels": labels}, lambda x, labels: dice(x, labels, bg))
    loss_case(f"loss_dice_cross_entropy{end}", "dice_cross_entropy", c, "x", {"x": logits, "labels": labels}, lambda x, labels: dice(x, labels, bg) + F.cross_entropy(first(x), labels))
loss_case("loss_dice_absent_class", "dice", dict(include_background=False, eps=1e-5), "x", {"x": logits, "labels": absent}, lambda x, labels: dice(x, labels, False))

# ---- dropout: the mask is drawn as in brainstate by default (float32); the arithmetic is in float64

def key(words): return jax.random.wrap_key_data(jnp.array(words, jnp.uint32))


for name, layer, seed, prob in [("dropout", "Dropout", 0, .5), ("dropout_keep_0_8", "Dropout", 42, .8), ("dropout_3d", "Dropout3d", 7, .6)]:
    x = values(rng, (3, 3, 2, 4, 5) if layer == "Dropout3d" else (3, 2, 2, 2, 5))
    shape = (3, 1, 1, 1, 5) if layer == "Dropout3d" else x.shape
    state, masks, masks_x64 = key([0, seed]), [], []
    for _ in range(2):                               # two successive calls
        state, use = jax.random.split(state)
        masks.append(np.asarray(jax.random.uniform(use, shape, jnp.float32) < np.float32(prob)))
        masks_x64.append(np.asarray(jax.random.bernoulli(use, prob, shape)))
    code = f"""import brainstate, json, jax.numpy as jnp
brainstate.random.seed({seed}); f = brainstate.nn.{layer}({prob})
with brainstate.environ.context(fit=True): print(json.dumps([(f(jnp.ones({x.shape})) != 0).tolist() for _ in range(2)]))"""
    said = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    for mine, theirs in zip(masks, said):
        assert np.array_equal(np.broadcast_to(mine, x.shape), np.array(theirs)), name
    brainstate.random.seed(seed)
    with brainstate.environ.context(fit=True):
        assert np.array_equal(np.asarray(getattr(nn, layer)(prob)(jnp.asarray(x))) != 0, np.broadcast_to(masks_x64[0], x.shape) & (x != 0)), name
    g = values(rng, x.shape)
    write(name, layer, BRAINSTATE + " (mask drawn in float32)", dict(prob=prob, seed=seed), "train", {"x": x}, {}, np.where(masks[0], x / prob, 0.0), g, {"x": np.where(masks[0], g / prob, 0.0)},
          keep_mask=pack(masks[0]), second_call_keep_mask=pack(masks[1]), keep_mask_if_x64=pack(masks_x64[0]))
