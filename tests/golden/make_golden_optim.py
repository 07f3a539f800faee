"""Write reference trajectories for optimizers, learning-rate schedules and gradient clipping (float64): optim/*.json.

usage: make_golden_optim.py [OUT_DIR=optim]     (needs: torch, braintools, brainstate 0.6.0, so Python 3.12, jax; CPU)
PyTorch is the oracle; braintools is run beside it and its numbers are kept where they differ. The schema is in README.md.
"""
import os, sys
from golden_common import *
import braintools
bt = braintools.optim
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "optim")
BRAINTOOLS = f"braintools {braintools.__version__}, float64"
SHAPES, STEPS = {"w": (2, 3, 2), "b": (5,)}, 24


def beside(mine, theirs, key, **more):
    """Compares with braintools: the largest difference, and the parameters of braintools if they differ."""
    worst = max(difference(a, b) for a, b in zip(mine, theirs))
    agrees = worst < 1e-12
    return dict(oracle=BRAINTOOLS, agrees=agrees, braintools_max_abs_difference=float(f"{worst:.1e}"), **more,
                **({} if agrees else {key: [pack_all(v) for v in theirs]}))


def problem(seed):
    rng = np.random.default_rng(seed)
    start = {k: values(rng, s) for k, s in SHAPES.items()}
    grads = [{k: values(rng, s, 2.0 ** rng.integers(-3, 2)) for k, s in SHAPES.items()} for _ in range(STEPS)]
    for i, g in enumerate(grads):
        g["b"][1] = 0                        # a parameter that never gets a gradient
        if i % 4: g["w"][0, 0, 0] = 0        # and one that rarely gets one
    return start, grads


def trajectory(name, kind, config, bt_class=None, bt_config=None, clip_norm=None, clip_value=None, one_cycle=None, steps=STEPS, optimizer=None):
    start, grads = problem(sum(map(ord, name)))
    grads = grads[:steps]
    p = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in start.items()}
    opt = (optimizer or getattr(torch.optim, kind))(p.values(), **config)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, **one_cycle) if one_cycle else None
    keys = ("lr", "momentum", "nesterov", "betas", "alpha", "eps", "centered", "weight_decay", "lr_decay", "initial_accumulator_value", "momentum_decay") + (("decoupled_weight_decay",) if kind in ("NAdam", "RAdam") else ())
    full = {k: opt.defaults[k] for k in keys if k in opt.defaults} | {"lr": config["lr"]}
    path, lrs, momenta = [], [], []
    for g in grads:
        group = opt.param_groups[0]
        lrs.append(float(group["lr"])); momenta.append(float(group["betas"][0] if "betas" in group else group.get("momentum", 0)))
        for k in p: p[k].grad = torch.tensor(g[k])
        if clip_norm: torch.nn.utils.clip_grad_norm_(p.values(), clip_norm)
        if clip_value: torch.nn.utils.clip_grad_value_(p.values(), clip_value)
        opt.step()
        if schedule: schedule.step()
        path.append({k: v.detach().numpy().copy() for k, v in p.items()})
    theirs = None
    if bt_class:
        states = {k: brainstate.ParamState(jnp.asarray(v)) for k, v in start.items()}
        clip = dict(grad_clip_norm=clip_norm) if clip_norm else dict(grad_clip_value=clip_value) if clip_value else {}
        b = getattr(bt, bt_class)(**{**(config if bt_config is None else bt_config), **clip})
        b.register_trainable_weights(states)
        bt_path = []
        for g in grads:
            b.step({k: jnp.asarray(v) for k, v in g.items()})
            bt_path.append({k: np.asarray(s.value) for k, s in states.items()})
        theirs = beside(path, bt_path, "parameters", **{"class": bt_class})
        print(f"{name:32s} torch and braintools differ by {theirs['braintools_max_abs_difference']:.1e}")
    save(os.path.join(out, name + ".json"), dict(
        name=name, optimizer=kind, oracle=getattr(optimizer, "oracle", TORCH), config=full, clip_norm=clip_norm, clip_value=clip_value, one_cycle=one_cycle,
        initial=pack_all(start), gradients=[pack_all(g) for g in grads], parameters=[pack_all(v) for v in path],
        lr=lrs, momentum=momenta if one_cycle else None, braintools=theirs))


trajectory("sgd", "SGD", dict(lr=.1), "SGD")
trajectory("sgd_l2", "SGD", dict(lr=.1, weight_decay=.05), "SGD")
trajectory("sgd_momentum", "SGD", dict(lr=.1, momentum=.9), "SGD")
trajectory("sgd_momentum_l2", "SGD", dict(lr=.1, momentum=.9, weight_decay=.05), "Momentum")
trajectory("sgd_nesterov", "SGD", dict(lr=.1, momentum=.9, nesterov=True), "SGD")
trajectory("sgd_nesterov_l2", "SGD", dict(lr=.1, momentum=.9, nesterov=True, weight_decay=.05), "MomentumNesterov", dict(lr=.1, momentum=.9, weight_decay=.05))
trajectory("adam", "Adam", dict(lr=.05), "Adam")
trajectory("adam_l2", "Adam", dict(lr=.05, weight_decay=.1), "Adam")
trajectory("adam_options", "Adam", dict(lr=.05, betas=(.8, .95), eps=1e-2), "Adam")        # a large eps, because it is outside of the root
trajectory("adamw", "AdamW", dict(lr=.05, weight_decay=.01), "AdamW")
trajectory("adamw_decay", "AdamW", dict(lr=.05, weight_decay=.3, betas=(.8, .95)), "AdamW")
trajectory("rmsprop", "RMSprop", dict(lr=.01), "RMSprop")
trajectory("rmsprop_eps", "RMSprop", dict(lr=.01, eps=1e-2, alpha=.9), "RMSprop")
trajectory("rmsprop_momentum", "RMSprop", dict(lr=.01, momentum=.9), "RMSprop")
trajectory("rmsprop_centered", "RMSprop", dict(lr=.01, centered=True), "RMSprop")
trajectory("rmsprop_centered_momentum_l2", "RMSprop", dict(lr=.01, centered=True, momentum=.9, weight_decay=.05), "RMSprop")
trajectory("sgd_momentum_l2_clip_norm", "SGD", dict(lr=.1, momentum=.9, weight_decay=.05), "SGD", clip_norm=1.0)
trajectory("adam_l2_clip_value", "Adam", dict(lr=.05, weight_decay=.1), "Adam", clip_value=.25)
trajectory("adamw_one_cycle", "AdamW", dict(lr=3e-3), one_cycle=dict(max_lr=1e-2, total_steps=STEPS))    # as in segment_brain_torch.py: the momentum (beta1) is cycled
trajectory("sgd_momentum_one_cycle", "SGD", dict(lr=.1, momentum=.9), one_cycle=dict(max_lr=.1, total_steps=STEPS))

# These have no reference in PyTorch and are written from their papers. Each parameter has its own norms, as each layer in the papers.

class Lion(torch.optim.Optimizer):
    oracle = "from the paper, in torch's float64: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2"

    def __init__(self, params, lr, betas=(.9, .99), weight_decay=0.): super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * p.grad
                assert ((c == 0) | (c.abs() > 1e-6)).all()      # so float32 has the same signs
                p.sub_(lr * (torch.sign(c) + decay * p))
                m.copy_(beta2 * m + (1 - beta2) * p.grad)


class LAMB(torch.optim.Optimizer):
    oracle = "from the paper, in torch's float64: You et al. 2020, Large Batch Optimization for Deep Learning, algorithm 2, phi(z) = z; a ratio of 1 where a norm is 0"

    def __init__(self, params, lr, betas=(.9, .999), eps=1e-6, weight_decay=.01):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (beta1, beta2), eps, decay = group["lr"], group["betas"], group["eps"], group["weight_decay"]
            for p in group["params"]:
                s = self.state[p]
                if not s: s.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                s["t"] += 1
                s["m"] = beta1 * s["m"] + (1 - beta1) * p.grad
                s["v"] = beta2 * s["v"] + (1 - beta2) * p.grad ** 2
                r = (s["m"] / (1 - beta1 ** s["t"])) / (torch.sqrt(s["v"] / (1 - beta2 ** s["t"])) + eps) + decay * p
                size, way = torch.linalg.vector_norm(p), torch.linalg.vector_norm(r)
                p.sub_(lr * (size / way if size > 0 and way > 0 else 1) * r)


TWELVE = dict(steps=12)
CYCLE12 = dict(max_lr=1e-2, total_steps=12)
trajectory("adagrad", "Adagrad", dict(lr=.1), **TWELVE)
trajectory("adagrad_options", "Adagrad", dict(lr=.1, lr_decay=.05, initial_accumulator_value=.3, eps=1e-2, weight_decay=.1), **TWELVE)
trajectory("adamax", "Adamax", dict(lr=.05), **TWELVE)
trajectory("adamax_l2", "Adamax", dict(lr=.05, betas=(.8, .95), eps=1e-2, weight_decay=.1), **TWELVE)
trajectory("nadam", "NAdam", dict(lr=.05), **TWELVE)
trajectory("nadam_l2_clip_norm", "NAdam", dict(lr=.05, betas=(.8, .95), eps=1e-2, weight_decay=.1, momentum_decay=.2), clip_norm=1.0, **TWELVE)
trajectory("nadam_decoupled_one_cycle", "NAdam", dict(lr=.05, weight_decay=.1, decoupled_weight_decay=True), one_cycle=CYCLE12, **TWELVE)
trajectory("radam", "RAdam", dict(lr=.05), **TWELVE)                        # r(t) passes 5 after 5 steps
trajectory("radam_l2", "RAdam", dict(lr=.05, betas=(.8, .95), eps=1e-2, weight_decay=.1), **TWELVE)
trajectory("radam_decoupled_one_cycle", "RAdam", dict(lr=.05, weight_decay=.1, decoupled_weight_decay=True), one_cycle=CYCLE12, **TWELVE)
trajectory("radam_never", "RAdam", dict(lr=.05, betas=(.9, .5)), **TWELVE)  # r(t) stays below 5
trajectory("lion", "Lion", dict(lr=.01), optimizer=Lion, **TWELVE)
trajectory("lion_decay_one_cycle", "Lion", dict(lr=.01, betas=(.8, .95), weight_decay=.3), one_cycle=CYCLE12, optimizer=Lion, **TWELVE)
trajectory("lamb", "LAMB", dict(lr=.05), optimizer=LAMB, **TWELVE)
trajectory("lamb_options_clip_norm", "LAMB", dict(lr=.05, betas=(.8, .95), eps=1e-2, weight_decay=.3), clip_norm=1.0, optimizer=LAMB, **TWELVE)

# ---- schedules: step i (from 0) uses lr[i]

def schedule(name, kind, config, formula, make, braintools_make=None, n=30, lr=.1):
    p = torch.nn.Parameter(torch.zeros(1))
    opt = torch.optim.SGD([p], lr, momentum=.9)
    s = make(opt)
    lrs, momenta = [], []
    for i in range(n):
        lrs.append(float(opt.param_groups[0]["lr"])); momenta.append(float(opt.param_groups[0]["momentum"]))
        opt.step()
        if i + 1 < n: s.step()
    theirs = None
    if braintools_make:
        b, values_ = braintools_make(), []
        for _ in range(n):
            values_.append(float(b.get_lr()[0])); b.step()
        worst = float(np.abs(np.subtract(lrs, values_)).max())
        print(f"{name:32s} torch and braintools differ by {worst:.1e}")
        theirs = dict(oracle=BRAINTOOLS, agrees=worst < 1e-12, braintools_max_abs_difference=float(f"{worst:.1e}"), **({} if worst < 1e-12 else {"lr": values_}))
        theirs["class"] = type(b).__name__
    save(os.path.join(out, name + ".json"), dict(name=name, schedule=kind, oracle=TORCH, config=config, formula=formula, lr=lrs,
                                                 momentum=momenta if kind == "OneCycle" else None, braintools=theirs))


L = torch.optim.lr_scheduler
schedule("schedule_step", "StepDecay", dict(lr=.1, step_size=7, gamma=.5), "lr * gamma^floor(t / step_size)", lambda o: L.StepLR(o, 7, .5), lambda: bt.StepLR(.1, 7, .5))
schedule("schedule_multi_step", "MultiStepDecay", dict(lr=.1, milestones=[5, 6, 20], gamma=.3), "lr * gamma^(number of milestones <= t)", lambda o: L.MultiStepLR(o, [5, 6, 20], .3), lambda: bt.MultiStepLR(.1, [5, 6, 20], .3))
schedule("schedule_exponential", "Exponential", dict(lr=.1, gamma=.9), "lr * gamma^t", lambda o: L.ExponentialLR(o, .9), lambda: bt.ExponentialLR(.1, .9))
for name, w in (("schedule_cosine", 0), ("schedule_cosine_warmup", 6)):
    T, start, low = 24, .01, .001
    warm_cosine = lambda t: start + (.1 - start) * t / w if t < w else low + (.1 - low) * (1 + np.cos(np.pi * min(1, (t - w) / (T - w)))) / 2
    schedule(name, "WarmupCosine", dict(lr=.1, warmup_steps=w, total_steps=T, warmup_start_lr=start, eta_min=low),
             "t < warmup_steps: start + (lr - start) * t / warmup_steps; else eta_min + (lr - eta_min) * (1 + cos(pi * min(1, (t - warmup_steps) / (total_steps - warmup_steps)))) / 2",
             lambda o: L.LambdaLR(o, lambda t: warm_cosine(t) / .1), lambda: bt.WarmupCosineSchedule(.1, w, T, start, low))
    two = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], .1)      # the same, from schedules of PyTorch
    s = L.SequentialLR(two, [L.LinearLR(two, start / .1, 1.0, w), L.CosineAnnealingLR(two, T - w, low)], [w]) if w else L.CosineAnnealingLR(two, T, low)
    for t in range(T + 1):
        assert abs(two.param_groups[0]["lr"] - warm_cosine(t)) < 1e-12, (name, t)
        two.step(); s.step()
for name, power, total in (("schedule_polynomial", 1.0, 24), ("schedule_polynomial_power", .9, 30), ("schedule_polynomial_steep", 3.0, 20)):
    schedule(name, "Polynomial", dict(lr=.1, total_steps=total, power=power), "lr * (1 - min(t, total_steps) / total_steps)^power", lambda o: L.PolynomialLR(o, total, power))
for name, c in {"schedule_cosine_restarts": dict(T_0=7), "schedule_cosine_restarts_longer": dict(T_0=3, T_mult=2, eta_min=.01), "schedule_cosine_restarts_one": dict(T_0=1, T_mult=3)}.items():
    c = dict(T_mult=1, eta_min=0.) | c
    schedule(name, "CosineRestarts", dict(lr=.1) | c, "eta_min + (lr - eta_min) * (1 + cos(pi * c / n)) / 2, c steps since the last start, n steps of this cycle: T_0 * T_mult^(starts before)",
             lambda o: L.CosineAnnealingWarmRestarts(o, **c), n=40)
ONE = ("end1 = pct_start * total_steps - 1, end2 = total_steps - 1; at(a, b, x) = b + (a - b) / 2 * (1 + cos(pi * x)) (linear: a + (b - a) * x); "
       "t <= end1: lr = at(max_lr / div_factor, max_lr, t / end1), momentum = at(max_momentum, base_momentum, t / end1); "
       "else x = (t - end1) / (end2 - end1): lr = at(max_lr, max_lr / div_factor / final_div_factor, x), momentum = at(base_momentum, max_momentum, x)")
for name, c in {"schedule_one_cycle": dict(max_lr=.1, total_steps=30), "schedule_one_cycle_odd": dict(max_lr=.1, total_steps=23), "schedule_one_cycle_400": dict(max_lr=.01, total_steps=400),
                "schedule_one_cycle_options": dict(max_lr=.2, total_steps=25, pct_start=.45, div_factor=10., final_div_factor=100., base_momentum=.7, max_momentum=.99),
                "schedule_one_cycle_linear": dict(max_lr=.1, total_steps=20, anneal_strategy="linear")}.items():
    full = dict(pct_start=.3, div_factor=25., final_div_factor=1e4, base_momentum=.85, max_momentum=.95, anneal_strategy="cos", cycle_momentum=True) | c
    schedule(name, "OneCycle", full, ONE, lambda o: L.OneCycleLR(o, **full), lambda: bt.OneCycleLR(**{k: v for k, v in full.items() if "momentum" not in k}), c["total_steps"])

# ---- a schedule that observes a metric: lr[i] is the rate after observing metrics[i]

def plateau(name, config, metrics):
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], config["lr"])
    s = L.ReduceLROnPlateau(opt, **{k: v for k, v in config.items() if k != "lr"})
    lrs, best, bad, cooldown = [], [], [], []
    for m in metrics:
        s.step(m)
        lrs.append(float(opt.param_groups[0]["lr"])); best.append(float(s.best)); bad.append(s.num_bad_epochs); cooldown.append(s.cooldown_counter)
    print(f"{name:32s} {len(set(lrs)) - (lrs[0] == config['lr'])} falls")
    save(os.path.join(out, name + ".json"), dict(name=name, oracle=TORCH, config=config, metrics=metrics, lr=lrs, best=best, bad_observations=bad, cooldown_left=cooldown))


rng = np.random.default_rng(11)
loss = [float(v) for v in values(rng, 40, .1) + np.maximum(1.0, 3.0 - .25 * np.arange(40))]
PLATEAU = dict(lr=.1, mode="min", factor=.1, patience=10, threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0., eps=1e-8)
plateau("plateau", PLATEAU, loss)
plateau("plateau_cooldown", PLATEAU | dict(factor=.5, patience=2, cooldown=3), loss)
plateau("plateau_max_abs", PLATEAU | dict(mode="max", factor=.3, patience=1, threshold=.05, threshold_mode="abs", min_lr=2e-3), [-v for v in loss])
plateau("plateau_max_rel", PLATEAU | dict(mode="max", factor=.3, patience=0, threshold=.02, eps=1e-4), [4 - v for v in loss])
plateau("plateau_min_abs", PLATEAU | dict(factor=.7, patience=3, threshold=.1, threshold_mode="abs", cooldown=1, min_lr=.03), loss)

# ---- clipping

rng = np.random.default_rng(5)
grads = {k: values(rng, s, 2.0) for k, s in SHAPES.items()}
for kind, limits in (("norm", (1.0, 5.0, 1000.0)), ("value", (.5, 100.0))):
    cases = []
    for g, limit in [(grads, v) for v in limits] + [({k: v * 0 for k, v in grads.items()}, 1.0)]:
        p = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in g.items()}
        for k in p: p[k].grad = torch.tensor(g[k])
        norm = float(torch.sqrt(sum((v.grad ** 2).sum() for v in p.values())))
        if kind == "norm": assert abs(float(torch.nn.utils.clip_grad_norm_(p.values(), limit)) - norm) < 1e-12
        else: torch.nn.utils.clip_grad_value_(p.values(), limit)
        mine = {k: v.grad.numpy() for k, v in p.items()}
        states = {k: brainstate.ParamState(jnp.zeros(v.shape)) for k, v in g.items()}
        b = bt.SGD(lr=1.0, **{f"grad_clip_{kind}": limit})
        b.register_trainable_weights(states); b.step({k: jnp.asarray(v) for k, v in g.items()})
        theirs = {k: -np.asarray(s.value) for k, s in states.items()}
        bs = brainstate.nn.clip_grad_norm({k: jnp.asarray(v) for k, v in g.items()}, limit) if kind == "norm" else None
        case = {"limit": limit, "norm_before": norm, "gradients": pack_all(g), "clipped": pack_all(mine), "braintools": beside([mine], [theirs], "clipped")}
        if bs:
            case["brainstate_nn_clip_grad_norm"] = dict(difference_to_torch=float(f"{difference(mine, bs):.1e}"), difference_to_braintools=float(f"{difference(theirs, bs):.1e}"))
            print("clip_norm", limit, "braintools", case["braintools"]["braintools_max_abs_difference"], case["brainstate_nn_clip_grad_norm"])
        cases.append(case)
    save(os.path.join(out, f"clip_by_{kind}.json"), dict(name=f"clip_by_{kind}", oracle=TORCH, cases=cases))
