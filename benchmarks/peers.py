"""Times Conv3d's three passes in PyTorch or JAX: reads problems from stdin, answers each with a JSON line of shortest times in ms.

usage: peers.py torch|jax [--threads 2] [--seconds 0.25] < PROBLEMS.jsonl      (needs from PyPI: torch, or jax and numpy)
compare runs this as a worker. Problems have the keys of brainstate.nn.Conv3d. PyTorch runs in both memory layouts, and the faster one counts.
"""
import argparse, json, os, sys, time

def triple(v): return (v,) * 3 if isinstance(v, int) else tuple(v)

def pads(p, sp, ke, s):
    pad = p.get("padding", "SAME")
    if pad == "VALID": return [(0, 0)] * 3
    if isinstance(pad, int): return [(pad, pad)] * 3
    if pad != "SAME": return [(q, q) if isinstance(q, int) else tuple(q) for q in pad]
    totals = [max((-(-n // step) - 1) * step + k - n, 0) for n, k, step in zip(sp, ke, s)]
    return [(t // 2, t - t // 2) for t in totals]

def geometry(p):
    """All sizes of a problem; "flops" counts two per multiplication, also for taps in the padding."""
    sp, k, s = p["in_size"][:3], triple(p["kernel_size"]), triple(p.get("stride", 1))
    l, r = triple(p.get("lhs_dilation", 1)), triple(p.get("rhs_dilation", 1))
    ke = [(a - 1) * b + 1 for a, b in zip(k, r)]
    le = [(a - 1) * b + 1 for a, b in zip(sp, l)]
    ab = pads(p, sp, ke, s)
    out = [(le[i] + sum(ab[i]) - ke[i]) // s[i] + 1 for i in range(3)]
    n, ci, co, g = p.get("batch", 1), p["in_size"][3], p["out_channels"], p.get("groups", 1)
    flops = 2.0 * n * out[0] * out[1] * out[2] * co * (ci // g) * k[0] * k[1] * k[2] / (l[0] * l[1] * l[2])
    return dict(sp=sp, k=k, s=s, l=l, r=r, pads=ab, out=out, ci=ci, co=co, g=g, n=n, flops=flops, dtype=p.get("dtype", "f32"), ke=ke)

def shortest(f, seconds):
    f(); f()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 3:
        begin = time.perf_counter(); f(); times.append(time.perf_counter() - begin)
        if len(times) >= 2000 or time.perf_counter() - start > 5: break
    return min(times) * 1e3

def torch_window(q):
    """The arguments (stride, padding, dilation, transposed, output_padding, groups) and the arguments of pad(); None if PyTorch has no such pass."""
    equal = all(a == b for a, b in q["pads"])
    flat = [v for ab in reversed(q["pads"]) for v in ab]
    if q["l"] == (1, 1, 1):
        return (q["s"], [a for a, _ in q["pads"]] if equal else [0] * 3, q["r"], False, [0] * 3, q["g"]), None if equal else flat
    padding, more = [k - 1 - a for k, (a, _) in zip(q["ke"], q["pads"])], [b - a for a, b in q["pads"]]
    fits = all(v >= 0 for v in padding) and all(0 <= m < max(l, r) for m, l, r in zip(more, q["l"], q["r"]))
    return ((q["l"], padding, q["r"], True, more, q["g"]), None) if fits and q["s"] == (1, 1, 1) else None

def run_torch(q, seconds):
    import torch
    if not (window := torch_window(q)): return {}
    args, flat = window
    dtype, best = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16}[q["dtype"]], {}
    shape = (q["ci"], q["co"] // q["g"], *q["k"]) if args[3] else (q["co"], q["ci"] // q["g"], *q["k"])
    padded = (lambda t: torch.nn.functional.pad(t, flat)) if flat else (lambda t: t)
    for layout in (torch.contiguous_format, torch.channels_last_3d):
        x = torch.randn(q["n"], q["ci"], *q["sp"]).to(dtype).contiguous(memory_format=layout)
        w = torch.randn(shape).to(dtype).contiguous(memory_format=layout)
        with torch.no_grad():
            forward = lambda: torch.ops.aten.convolution(padded(x), w, None, *args)
            g, xp = torch.randn_like(forward()), padded(x).contiguous(memory_format=layout)
            backward = lambda mask: torch.ops.aten.convolution_backward(g, xp, w, None, *args, mask)
            for name, f in (("forward", forward), ("grad_input", lambda: backward([True, False, False])),
                            ("grad_weight", lambda: backward([False, True, False]))):
                best[name] = min(best.get(name, 1e30), shortest(f, seconds))
    return best

def run_jax(q, seconds):
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax, jax.numpy as jnp, numpy as np
    jax.config.update("jax_enable_x64", True)
    dtype, rng = {"f32": jnp.float32, "f64": jnp.float64, "bf16": jnp.bfloat16}[q["dtype"]], np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((q["n"], *q["sp"], q["ci"])), dtype)
    w = jnp.asarray(rng.standard_normal((*q["k"], q["ci"] // q["g"], q["co"])), dtype)
    conv = lambda x, w: jax.lax.conv_general_dilated(x, w, q["s"], q["pads"], q["l"], q["r"], ("NDHWC", "DHWIO", "NDHWC"), q["g"])
    forward = jax.jit(conv)
    g = forward(x, w)
    grad_input = jax.jit(lambda x, w, g: jax.vjp(lambda x: conv(x, w), x)[1](g)[0])
    grad_weight = jax.jit(lambda x, w, g: jax.vjp(lambda w: conv(x, w), w)[1](g)[0])
    return {"forward": shortest(lambda: forward(x, w).block_until_ready(), seconds),
            "grad_input": shortest(lambda: grad_input(x, w, g).block_until_ready(), seconds),
            "grad_weight": shortest(lambda: grad_weight(x, w, g).block_until_ready(), seconds)}

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("peer", choices=["torch", "jax"]); a.add_argument("--threads", type=int, default=2)
    a.add_argument("--seconds", type=float, default=0.25)
    a = a.parse_args()
    if a.peer == "torch":
        import torch
        torch.set_num_threads(a.threads)
    for line in sys.stdin:
        if not line.strip(): continue
        try: answer = (run_torch if a.peer == "torch" else run_jax)(geometry(json.loads(line)), a.seconds)
        except Exception as e: answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)

if __name__ == "__main__": main()
