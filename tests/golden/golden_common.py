"""Code that the make_golden_*.py scripts share: JAX in float64 on CPU, and golden_format.py."""
import json, os
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_disable_hlo_passes=algsimp")   # jaxlib 0.10.2 aborts in this pass on some vjps
import numpy as np, jax, jax.numpy as jnp, brainstate, torch
from golden_format import first, last, pack, save, values
jax.config.update("jax_enable_x64", True)
brainstate.environ.set(precision=64)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

BRAINSTATE = f"brainstate {brainstate.__version__}, jax {jax.__version__}, float64"
TORCH = f"torch {torch.__version__.split('+')[0]}, float64"


def pack_all(d):
    return {k: pack(v) for k, v in d.items()}


def difference(a, b):
    return max((float(np.max(np.abs(np.asarray(a[k]) - np.asarray(b[k])), initial=0.0)) for k in a), default=0.0)


def same_padding(size, kernel, stride):
    """SAME padding of one dimension: (before, after); an odd one goes after."""
    pad = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return pad // 2, pad - pad // 2
