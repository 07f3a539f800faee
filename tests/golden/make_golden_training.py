"""Write the first training losses of a small 3-D conv net (float64): training.json.

usage: make_golden_training.py [OUT_FILE=training.json]     (needs: torch, braintools, brainstate 0.6.0, so Python 3.12, jax; CPU)
PyTorch is the oracle; the same net is trained in brainstate with braintools' optimizers and must agree to 1e-10.
All arrays are channels-last, kernels are (kh, kw, kd, cin, cout), linear weights (in, out), and flattening is of H, W, D, C in row-major order.
"""
import os, sys
from golden_common import *
import braintools
import torch.nn.functional as F
nn = brainstate.nn
path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "training.json")
rng = np.random.default_rng(8)
STEPS, CLASSES, SIZE = 10, 3, (6, 8, 5)
x, labels = values(rng, (6, *SIZE, 1), step=1 / 64), rng.integers(0, CLASSES, 6)
SHAPES = {"conv1.weight": (3, 3, 3, 1, 4), "conv1.bias": (1, 1, 1, 4), "conv2.weight": (3, 3, 3, 4, 6), "conv2.bias": (1, 1, 1, 6),
          "norm.scale": (6,), "norm.bias": (6,), "linear.weight": (24, CLASSES), "linear.bias": (CLASSES,)}
SCALES = {"conv1.weight": .25, "conv2.weight": .12, "linear.weight": .2}
start = {k: values(rng, s, SCALES.get(k, .1)) + (k == "norm.scale") for k, s in SHAPES.items()}
pads1 = [same_padding(n, 3, 1) for n in SIZE]                       # (1,1) everywhere
pads2 = [same_padding(n // 2, 3, 2) for n in SIZE]                  # 3, 4, 2 -> 2, 2, 1: (1,1), (0,1), (0,1)
ARCHITECTURE = [
    dict(layer="Conv3d", name="conv1", in_channels=1, out_channels=4, kernel_size=3, stride=1, padding="SAME", explicit_padding=pads1, bias=True), dict(layer="ReLU"),
    dict(layer="MaxPool3d", kernel_size=2, stride=2, padding="VALID"),
    dict(layer="Conv3d", name="conv2", in_channels=4, out_channels=6, kernel_size=3, stride=2, padding="SAME", explicit_padding=pads2, bias=True),
    dict(layer="GroupNorm", name="norm", num_groups=2, epsilon=1e-6), dict(layer="ReLU"),
    dict(layer="Flatten", order="H, W, D, C"), dict(layer="Linear", name="linear", in_size=24, out_size=CLASSES, bias=True), dict(layer="cross_entropy", reduction="mean")]
flat = lambda pads: [v for pair in reversed(pads) for v in pair]


def torch_loss(p, x):
    kernel = lambda name: p[name].permute(4, 3, 0, 1, 2)
    y = F.relu(F.conv3d(F.pad(first(x), flat(pads1)), kernel("conv1.weight"), p["conv1.bias"].flatten()))
    y = F.conv3d(F.pad(F.max_pool3d(y, 2), flat(pads2)), kernel("conv2.weight"), p["conv2.bias"].flatten(), stride=2)
    y = F.relu(F.group_norm(y, 2, p["norm.scale"], p["norm.bias"], eps=1e-6))
    return F.cross_entropy(last(y).flatten(1) @ p["linear.weight"] + p["linear.bias"], torch.tensor(labels))


def train_torch(kind, config):
    p = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in start.items()}
    opt, losses, grads = getattr(torch.optim, kind)(p.values(), **config), [], None
    for _ in range(STEPS):
        opt.zero_grad()
        loss = torch_loss(p, torch.tensor(x))
        loss.backward()
        grads = grads or {k: v.grad.numpy().copy() for k, v in p.items()}
        losses.append(loss.item())
        opt.step()
    return losses, grads, {k: v.detach().numpy() for k, v in p.items()}


def train_brainstate(kind, config):
    conv = lambda name, size, stride: nn.Conv3d(size, SHAPES[name + ".weight"][-1], 3, stride, w_init=jnp.asarray(start[name + ".weight"]), b_init=jnp.asarray(start[name + ".bias"]))
    layers = {"conv1": conv("conv1", (*SIZE, 1), 1), "conv2": conv("conv2", (*[n // 2 for n in SIZE], 4), 2), "norm": nn.GroupNorm((6,), num_groups=2), "linear": nn.Linear(24, CLASSES)}
    for name in ("norm", "linear"):
        layers[name].weight.value = {k: jnp.asarray(start[f"{name}.{k}"]) for k in layers[name].weight.value}

    def loss():
        y = nn.MaxPool3d(2)(nn.relu(layers["conv1"](jnp.asarray(x))))
        y = nn.relu(layers["norm"](layers["conv2"](y)))
        logits = layers["linear"](y.reshape(len(labels), -1))
        return braintools.metric.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(labels)).mean()
    states = {k: v.weight for k, v in layers.items()}
    opt = getattr(braintools.optim, kind)(**config)
    opt.register_trainable_weights(states)
    step, losses = brainstate.transform.grad(loss, states, return_value=True), []
    for _ in range(STEPS):
        grads, value = step()
        losses.append(float(value))
        opt.step(grads)
    return losses, {f"{k}.{leaf}": np.asarray(v) for k, s in states.items() for leaf, v in s.value.items()}


runs = []
for kind, config in (("Adam", dict(lr=1e-2)), ("SGD", dict(lr=.05, momentum=.9))):
    losses, grads, final = train_torch(kind, config)
    bs_losses, bs_final = train_brainstate(kind, config)
    worst = max(difference({"l": losses}, {"l": bs_losses}), difference(final, bs_final))
    assert worst < 1e-10, worst
    print(kind, "losses", np.round(losses, 4), f"brainstate and torch differ by {worst:.1e}")
    runs.append(dict(optimizer=kind, config=config, losses=losses, final=pack_all(final)))
save(path, dict(name="training", oracle=TORCH, checked_against=f"{BRAINSTATE}, braintools {braintools.__version__}", architecture=ARCHITECTURE,
                inputs=pack_all({"x": x, "labels": labels}), initial=pack_all(start), first_gradients=pack_all(grads), runs=runs))
