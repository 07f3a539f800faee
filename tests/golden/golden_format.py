"""The array format of the golden files, {"shape", "data"[, "dtype"]}, and conversions between channels-last and channels-first. Needs no JAX."""
import json, os
import numpy as np, torch


def values(rng, shape, scale=1.0, step=1 / 1024):
    """Normal values on a coarse grid: exact in float32 and short as text."""
    return np.round(rng.standard_normal(shape) * scale / step) * step


def pack(a):
    a = np.asarray(a.detach() if isinstance(a, torch.Tensor) else a)
    if a.dtype.kind in "iub":
        return {"shape": list(a.shape), "dtype": "i32", "data": [int(v) for v in a.ravel()]}
    return {"shape": list(a.shape), "data": [float(v) + 0.0 for v in a.ravel()]}   # + 0.0: no negative zeros


def save(path, record):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(record, f, separators=(",", ":"), allow_nan=False)
        f.write("\n")


def first(x):
    """[B, H, W, D, C] to [B, C, H, W, D] (torch)."""
    return x.permute(0, 4, 1, 2, 3)


def last(x):
    """[B, C, H, W, D] to [B, H, W, D, C] (torch)."""
    return x.permute(0, 2, 3, 4, 1)
