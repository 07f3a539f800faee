"""Training steps of the small CNN in brainstate on CPU, compiled by XLA. It is the twin of `train_step --model cnn`.

usage: train_brainstate.py [--threads 2] [--seconds 6]     (PyPI: brainstate, braintools)
Prints one JSON line with the keys of train_step.
"""
import argparse, json, os, resource, time

def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--threads", type=int, default=2, help="cores that the process may use (default: 2)")
    a.add_argument("--seconds", type=float, default=6, help="how long steps are timed, at least 5 of them")
    a.add_argument("--warmup", type=int, default=3, help="steps before that, including the one that compiles (default: 3)")
    a.add_argument("--batch", type=int, default=32, help="volumes per step")
    a.add_argument("--size", type=int, default=16, help="voxels along an edge")
    a = a.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:a.threads])  # XLA uses as many threads as there are cores
    return a

def main():
    a = options()
    import brainstate as bst, braintools, jax, jax.numpy as jnp
    conv = lambda size, channels, outputs: bst.nn.Conv3d((size,) * 3 + (channels,), outputs, 3, padding="SAME", b_init=braintools.init.Constant(0.0))
    pool = lambda size, channels: bst.nn.MaxPool3d(2, 2, in_size=(size,) * 3 + (channels,))
    n = a.size // 4
    model = bst.nn.Sequential(conv(a.size, 1, 8), bst.nn.ReLU(), pool(a.size, 8), conv(a.size // 2, 8, 16), bst.nn.ReLU(), pool(a.size // 2, 16),
                              bst.nn.Flatten(in_size=(n, n, n, 16)), bst.nn.Linear(n**3 * 16, 10))
    states = model.states(bst.ParamState)
    optimizer = braintools.optim.Adam(lr=1e-3)
    optimizer.register_trainable_weights(states)
    x = jax.random.normal(jax.random.key(0), (a.batch, *(a.size,) * 3, 1))
    y = jax.random.randint(jax.random.key(1), (a.batch,), 0, 10)
    def loss(): return jnp.mean(braintools.metric.softmax_cross_entropy_with_integer_labels(model(x), y))
    @bst.transform.jit
    def step():
        grads, value = bst.transform.grad(loss, states, return_value=True)()
        optimizer.update(grads)
        return value
    losses = [float(step()) for _ in range(a.warmup)]
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < a.seconds or len(times) < 5:
        begin = time.perf_counter()
        losses[1:] = [step().block_until_ready()]
        times.append(time.perf_counter() - begin)
    times.sort()
    print(json.dumps(dict(name="cnn", batch=a.batch, size=a.size, threads=a.threads, parameters=sum(v.size for v in jax.tree.leaves({k: s.value for k, s in states.items()})),
                          loss_first=float(losses[0]), loss_last=float(losses[-1]), min_ms=times[0] * 1e3, median_ms=times[len(times) // 2] * 1e3, steps=len(times),
                          peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-6, voxels_per_s=a.batch * a.size**3 / times[0])))

if __name__ == "__main__": main()
