"""What the make_golden_*.py scripts share: JAX in float64 on CPU, and the array format {"shape", "data"[, "dtype"]}."""
import json, os
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_disable_hlo_passes=algsimp")   # jaxlib 0.10.2 aborts in it on some vjps
import numpy as np, jax, jax.numpy as jnp, brainstate, torch
jax.config.update("jax_enable_x64", True)
brainstate.environ.set(precision=64)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

BRAINSTATE = f"brainstate {brainstate.__version__}, jax {jax.__version__}, float64"
TORCH = f"torch {torch.__version__.split('+')[0]}, float64"


def values(rng, shape, scale=1.0, step=1 / 1024):
    """Normal values on a coarse grid: exact in float32, short in text."""
    return np.round(rng.standard_normal(shape) * scale / step) * step


def pack(a):
    a = np.asarray(a.detach() if isinstance(a, torch.Tensor) else a)
    if a.dtype.kind in "iub":
        return {"shape": list(a.shape), "dtype": "i32", "data": [int(v) for v in a.ravel()]}
    return {"shape": list(a.shape), "data": [float(v) + 0.0 for v in a.ravel()]}   # + 0.0: no negative zeros


def pack_all(d):
    return {k: pack(v) for k, v in d.items()}


def save(path, record):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(record, f, separators=(",", ":"), allow_nan=False)
        f.write("\n")


def difference(a, b):
    return max((float(np.max(np.abs(np.asarray(a[k]) - np.asarray(b[k])), initial=0.0)) for k in a), default=0.0)


def first(x):
    """[B, H, W, D, C] to [B, C, H, W, D] (torch)."""
    return x.permute(0, 4, 1, 2, 3)


def last(x):
    """[B, C, H, W, D] to [B, H, W, D, C] (torch)."""
    return x.permute(0, 2, 3, 4, 1)


def same_padding(size, kernel, stride):
    """SAME padding of one dimension: (before, after), the odd one after."""
    pad = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return pad // 2, pad - pad // 2
