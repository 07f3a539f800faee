"""Write reference cases for sliding windows, metrics and some losses, with MONAI: evaluation/*.json and
layers/loss_focal*.json, loss_sigmoid_focal*.json, loss_tversky*.json."""
import os
import monai, numpy as np, torch
import torch.nn.functional as F
from monai.inferers import sliding_window_inference
from monai.losses import FocalLoss, TverskyLoss
from monai.metrics import DiceMetric, HausdorffDistanceMetric, MeanIoU
from golden_format import first, last, pack, save, values

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
here = os.path.dirname(os.path.abspath(__file__))
MONAI = f"monai {monai.__version__}, torch {torch.__version__.split('+')[0]}"


# ---- sliding windows

def predictor(x):
    """(n, C, h, w, d) to (n, 2, h, w, d): depends on the position in the window, so that blending has an effect."""
    n, c, h, w, d = x.shape
    i, j, k = torch.meshgrid(torch.arange(h), torch.arange(w), torch.arange(d), indexing="ij")
    place = 1 + i + 2 * j + 3 * k
    mean = x.mean(dim=(1, 2, 3, 4), keepdim=True)
    return torch.cat([x[:, :1] * place + x[:, -1:], (x[:, -1:] - mean) * x[:, :1]], dim=1)


def flipped(axes):
    combinations = [[a + 2 for i, a in enumerate(axes) if bits >> i & 1] for bits in range(2 ** len(axes))]
    return lambda x: sum(predictor(x.flip(c)).flip(c) for c in combinations) / len(combinations)


rng = np.random.default_rng(20261124)
cases = []
for shape, window, batch, overlap, mode, sigma, cval, flips in [
    ((1, 9, 8, 11, 2), (4, 5, 6), 1, 0.25, "gaussian", 0.125, 0.0, []),
    ((2, 9, 8, 11, 1), (4, 5, 6), 3, 0.25, "constant", 0.125, 0.0, []),
    ((2, 7, 6, 5, 2), (4, 4, 4), 4, 0.5, "gaussian", 0.125, 0.0, []),
    ((1, 3, 9, 4, 1), (6, 4, 7), 2, 0.5, "gaussian", 0.25, -0.5, []),     # smaller than the window along H and D
    ((1, 3, 2, 2, 1), (6, 5, 7), 2, 0.75, "constant", 0.125, 0.0, []),    # and along all axes
    ((1, 10, 6, 6, 1), (10, 3, -1), 2, 0.9, "gaussian", 0.1, 0.0, []),    # the interval int(0.99...) is 0, which becomes 1
    ((1, 13, 5, 5, 1), (4, 5, 5), 1, 0.0, "gaussian", 0.125, 0.0, []),
    ((1, 8, 7, 6, 1), (4, 4, 4), 2, 0.5, "gaussian", 0.125, 0.0, [0]),
    ((2, 6, 7, 6, 1), (4, 4, 4), 2, 0.25, "gaussian", 0.125, 0.0, [0, 1, 2]),
]:
    x = values(rng, shape)
    y = sliding_window_inference(first(torch.tensor(x)), window, batch, flipped(flips), overlap=overlap, mode=mode, sigma_scale=sigma, cval=cval)
    cases.append(dict(window=list(window), batch_size=batch, overlap=overlap, blending=mode, sigma_scale=sigma, pad_value=cval, flips=flips,
                      input=pack(x), output=pack(last(y))))
save(f"{here}/evaluation/sliding_window.json", dict(oracle=MONAI, cases=cases))


# ---- metrics

def blobs(shape, classes, shift=0.0, seed=0):
    """Labels (B, H, W, D) of overlapping balls, drawn anew for each seed, moved by `shift`."""
    r = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape[1:]], indexing="ij"), -1)
    labels = np.zeros(shape, np.int64)
    for b in range(shape[0]):
        for k in range(1, classes):
            for _ in range(2):
                centre = r.uniform(2, np.array(shape[1:]) - 2) + shift
                labels[b][((grid - centre) ** 2).sum(-1) < r.uniform(1.5, 4) ** 2] = k
    return labels


def nan_list(t):
    return [[None if np.isnan(v) else "inf" if np.isinf(v) else float(v) for v in row] for row in np.asarray(t, np.float64)]


def one_hot(labels, classes):
    return F.one_hot(torch.tensor(labels), classes).movedim(-1, 1).float()


truth = blobs((3, 12, 10, 9), 4, seed=1)
guess = blobs((3, 12, 10, 9), 4, shift=0.8, seed=1)
noise = rng.random(guess.shape) < 0.03
guess[noise] = rng.integers(0, 4, noise.sum())
truth[0][truth[0] == 3] = 0                          # a class in the prediction only
guess[1][guess[1] == 2] = 1                          # a class in the labels only
truth[2][truth[2] == 1] = 0; guess[2][guess[2] == 1] = 0   # a class in neither
guess[2] = np.where(guess[2] == 2, 0, guess[2]); guess[2, 5, 5, 2:7] = 2   # one voxel thick
cases = []
for background in [False, True]:
    for ignore_empty in [True, False]:
        for percentile, spacing in [(95, (1, 1, 1)), (100, (1, 1, 1)), (95, (0.5, 1.25, 3.0)), (50, (2.0, 1.0, 1.5))]:
            p, t = one_hot(guess, 4), one_hot(truth, 4)
            case = dict(include_background=background, ignore_empty=ignore_empty, percentile=percentile, spacing=list(spacing))
            for name, metric, more in [("dice", DiceMetric(include_background=background, ignore_empty=ignore_empty, reduction="none"), {}),
                                       ("iou", MeanIoU(include_background=background, ignore_empty=ignore_empty, reduction="none"), {}),
                                       ("hausdorff", HausdorffDistanceMetric(include_background=background, percentile=percentile, reduction="none"), dict(spacing=spacing))]:
                metric(p, t, **more)
                case[name] = dict(scores=nan_list(metric.aggregate("none")), by_class=nan_list([metric.aggregate("mean_batch")])[0],
                                  mean=nan_list([[float(metric.aggregate("mean"))]])[0][0])
            cases.append(case)
counts = np.zeros((4, 4), int)
np.add.at(counts, (truth.ravel(), guess.ravel()), 1)
tp, fp, tn, fn = monai.metrics.get_confusion_matrix(one_hot(guess, 4), one_hot(truth, 4)).sum(0).T
assert (tp.numpy() == counts.diagonal()).all() and (fp.numpy() == counts.sum(0) - counts.diagonal()).all() and (fn.numpy() == counts.sum(1) - counts.diagonal()).all()
save(f"{here}/evaluation/metrics.json", dict(oracle=MONAI, predicted=pack(guess), labels=pack(truth), confusion=pack(counts), cases=cases))


# ---- losses

def loss_case(name, layer, oracle, config, inputs, f, monai_value=None):
    x = torch.tensor(inputs["x"], requires_grad=True)
    loss = f(x)
    if monai_value is not None:
        assert abs(float(monai_value) - float(loss.detach())) < 1e-6 * max(1, abs(float(loss.detach()))), name
    g = float(values(rng, ())) + 1
    (loss * g).backward()
    record = dict(name=name, layer=layer, oracle=oracle, config=config, mode=None, inputs={k: pack(v) for k, v in inputs.items()}, states={},
                  output=pack(loss), grad_output=pack(np.array(g)), grads={"x": pack(x.grad)}, new_states=None)
    save(f"{here}/layers/{name}.json", record)


def focal(x, labels, gamma, alpha, ignored):
    """The definition in float64; MONAI computes in float32."""
    log_p = torch.log_softmax(x, -1)
    keep = labels != ignored
    y = torch.where(keep, labels, 0)
    at = log_p.gather(-1, y[..., None])[..., 0]
    w = torch.tensor(alpha or [1.0] * x.shape[-1])[y]
    return (-w * (1 - at.exp()) ** gamma * at * keep).sum() / (keep.sum() * x.shape[-1])


logits = values(rng, (2, 3, 4, 2, 5), 2)
big = values(rng, (2, 3, 4, 2, 5), 30)
labels = rng.integers(0, 5, (2, 3, 4, 2))
some = np.where(rng.random(labels.shape) < .25, -100, labels)
for end, x, y, gamma, alpha in [("", logits, labels, 2.0, None), ("_gamma_0", logits, labels, 0.0, None), ("_gamma_1", logits, labels, 1.0, None),
                                ("_gamma_half", logits, labels, 0.5, [1.0, 2.0, 0.5, 0.0, 3.0]), ("_alpha", logits, labels, 2.0, [0.25, 0.75, 0.75, 0.75, 0.75]),
                                ("_ignored", logits, some, 3.0, [1.0, 2.0, 0.5, 1.0, 3.0]), ("_large_logits", big, labels, 2.0, None)]:
    t = torch.tensor(y)
    with torch.no_grad():
        m = None if end == "_ignored" else FocalLoss(use_softmax=True, to_onehot_y=True, gamma=gamma, weight=alpha)(first(torch.tensor(x)), t[:, None])
    loss_case(f"loss_focal{end}", "focal", f"torch, float64, the formula; {MONAI} in float32 to 1e-6", dict(gamma=gamma, ignore_index=-100) | (dict(alpha=alpha) if alpha else {}),
              {"x": x, "labels": y}, lambda x: focal(x, t, gamma, alpha, -100), m)


def sigmoid_focal(x, t, alpha, gamma):
    ce, p = F.binary_cross_entropy_with_logits(x, t, reduction="none"), torch.sigmoid(x)
    loss = ce * (1 - (p * t + (1 - p) * (1 - t))) ** gamma
    return ((alpha * t + (1 - alpha) * (1 - t)) * loss if alpha >= 0 else loss).mean()


target = (rng.random(logits.shape) > .5) * 1.0
for end, alpha, gamma in [("", 0.25, 2.0), ("_no_alpha", -1.0, 1.5)]:
    t = torch.tensor(target)
    with torch.no_grad():
        m = FocalLoss(gamma=gamma, alpha=alpha if alpha >= 0 else None)(first(torch.tensor(logits)), first(t))
    loss_case(f"loss_sigmoid_focal{end}", "sigmoid_focal", f"torch, float64, torchvision's formula; {MONAI} in float32 to 1e-6", dict(alpha=alpha, gamma=gamma),
              {"x": logits, "target": target}, lambda x: sigmoid_focal(x, t, alpha, gamma), m)

for end, y, config in [("", labels, dict(alpha=0.3, beta=0.7, include_background=False, smooth_nr=1e-5, smooth_dr=1e-5, batch=True)),
                       ("_samples", labels, dict(alpha=0.3, beta=0.7, include_background=True, smooth_nr=0.5, smooth_dr=0.25, batch=False)),
                       ("_precision", labels, dict(alpha=1.0, beta=0.0, include_background=False, smooth_nr=0.0, smooth_dr=1e-5, batch=False)),
                       ("_absent_class", np.where(labels == 2, 0, labels), dict(alpha=0.5, beta=0.5, include_background=True, smooth_nr=1e-5, smooth_dr=1e-5, batch=True))]:
    f = TverskyLoss(softmax=True, to_onehot_y=True, **config)
    loss_case(f"loss_tversky{end}", "tversky", f"{MONAI}, float64", config, {"x": logits, "labels": y}, lambda x: f(first(x), torch.tensor(y)[:, None]))
