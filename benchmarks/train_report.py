"""The tables that compare_train prints, and the targets."""
import statistics
from report import most_load, number

# Targets: PyTorch's time over ours, by model; its peak memory over ours; speed of one thread over that of two; lowest over highest voxels/s of all sizes.
times_asked = {"unet": 4, "resnet": 3, "cnn": 3, "mednext": 5}
memory_asked, one_thread_asked, sizes_asked, brainstate_asked = 2, 0.55, 0.9, 40
as_fast = 1.05  # peak memory is compared with the variants of PyTorch whose time is within this factor of the fastest

def verdict(value, asked): return "" if value is None or asked is None else "ok" if value >= asked else "BELOW"

def best(times): return min(times, key=times.get) if times else None

def compared(ours, theirs):
    """Our answers and those of each variant of PyTorch, one per round: shortest times, ratios, peaks (our highest, their lowest), joules per step."""
    shortest = {v: min(r["min_ms"] for r in rounds) for v, rounds in theirs.items()}
    fastest, our_ms = best(shortest), min(r["min_ms"] for r in ours)
    by_round = [min(r["min_ms"] for r in others) / own["min_ms"] for own, *others in zip(ours, *theirs.values())] if theirs else []
    our_peak = max(r["peak_mb"] for r in ours)
    peaks = {v: min(r["peak_mb"] for r in theirs[v]) for v in theirs if shortest[v] <= as_fast * shortest[fastest]}
    leanest = best(peaks)
    joules = {who: min((r["joules_per_step"] for r in rounds if r["joules_per_step"] is not None), default=None)
              for who, rounds in [("voxgrad", ours), *([("torch", theirs[fastest])] if theirs else [])]}
    return dict(our_ms=our_ms, torch_ms=shortest.get(fastest), torch_variant=fastest, ratio=shortest[fastest] / our_ms if theirs else None,
                round_ratios=by_round, ratio_least=min(by_round, default=None), ratio_median=statistics.median(by_round) if by_round else None,
                our_peak_mb=our_peak, pool_peak_mb=max(r["pool_peak_mb"] for r in ours), torch_peak_mb=peaks.get(leanest), torch_peak_variant=leanest,
                memory_ratio=peaks[leanest] / our_peak if theirs else None, joules_per_step=joules,
                system_allocations=max(r["system_allocations"] for r in ours))

def header():
    return (f"{'model':<8} | {'ours':>9} {'PyTorch':>9} ms {'its variant':<14} | {'ratio':>6} {'least':>6} {'median':>6} {'asked':>5} {'':<5} | "
            f"{'ours':>7} {'PyTorch':>7} MB {'its variant':<14} | {'ratio':>6} {'asked':>5}")

def row(m):
    c, asked = m["compared"], times_asked[m["name"]]
    ms = lambda v: number(v, ".2f" if v and v < 100 else ".1f")
    return (f"{m['name']:<8} | {ms(c['our_ms']):>9} {ms(c['torch_ms']):>9} ms {c['torch_variant'] or '-':<14} | {number(c['ratio'], '.2f'):>6} "
            f"{number(c['ratio_least'], '.2f'):>6} {number(c['ratio_median'], '.2f'):>6} {asked:>5} {verdict(c['ratio'], asked):<5} | "
            f"{number(c['our_peak_mb'], '.0f'):>7} {number(c['torch_peak_mb'], '.0f'):>7} MB {c['torch_peak_variant'] or '-':<14} | "
            f"{number(c['memory_ratio'], '.2f'):>6} {memory_asked:>5} {verdict(c['memory_ratio'], memory_asked)}").rstrip()

def energy(models):
    """One line per model with figures of both; without any, one line that says so."""
    lines = []
    for m in models:
        j = m["compared"]["joules_per_step"]
        if j["voxgrad"] is not None and j.get("torch") is not None:
            ratio = f", ratio {j['torch'] / j['voxgrad']:.2f}" if j["voxgrad"] > 0 else ""
            lines.append(f"energy, {m['name']}: ours {j['voxgrad']:.4g} J per step, PyTorch ({m['compared']['torch_variant']}) {j['torch']:.4g} J{ratio}")
    return lines or ["energy: not readable"]

def notes(models):
    lines = [f"{m['name']}: {m['compared']['system_allocations']} allocations by the system after the second step; must be 0"
             for m in models if m["compared"]["system_allocations"]]
    load = max((m["cores_of_others"] for m in models), default=0)
    if load > most_load: lines.append(f"UNRELIABLE: other programs kept up to {load:.1f} cores busy")
    return lines

def scaling_row(name, one, more):
    """From our answers with one thread and with more: the speed of one thread over that of several."""
    t1, tn, threads = min(r["min_ms"] for r in one), min(r["min_ms"] for r in more), more[0]["threads"]
    asked = one_thread_asked if threads == 2 else None
    share = tn / t1
    return dict(name=name, threads=threads, one_ms=t1, ms=tn, share=share), (
        f"{name:<8} | 1 thread {t1:>9.2f} ms, {threads} threads {tn:>9.2f} ms | one's speed is {share:.2f} of theirs, asked {number(asked, '.2f')} {verdict(share, asked)}").rstrip()

def brainstate_row(ours, theirs):
    """Our answers for the CNN and those of brainstate, one per round each."""
    our_ms, their_ms = min(r["min_ms"] for r in ours), min(r["min_ms"] for r in theirs)
    peaks = max(r["peak_mb"] for r in ours), min(r["peak_mb"] for r in theirs)
    by_round = [b["min_ms"] / a["min_ms"] for a, b in zip(ours, theirs)]
    entry = dict(our_ms=our_ms, brainstate_ms=their_ms, ratio=their_ms / our_ms, round_ratios=by_round, our_peak_mb=peaks[0], brainstate_peak_mb=peaks[1],
                 ours=list(ours), theirs=list(theirs))
    return entry, (f"cnn      | {our_ms:.2f} ms, brainstate {their_ms:.1f} ms | ratio {entry['ratio']:.1f} (least {min(by_round):.1f}) asked {brainstate_asked} "
                   f"{verdict(entry['ratio'], brainstate_asked)} | {peaks[0]:.0f} MB, brainstate {peaks[1]:.0f} MB")

def sizes_row(name, answers):
    """From our answers by size, one per round each."""
    rates = {size: max(r["voxels_per_s"] for r in rounds) for size, rounds in answers.items() if rounds}
    steady = min(rates.values()) / max(rates.values()) if rates else None
    cells = "".join(f" {number(rates.get(size) and rates[size] * 1e-6, '.3f'):>9}" for size in answers)
    return dict(name=name, voxels_per_s=rates, steady=steady), f"{name:<8} |{cells} | {number(steady, '.2f')} asked {sizes_asked} {verdict(steady, sizes_asked)}".rstrip()

def sizes_header(sizes): return f"{'10^6/s':<8} |{''.join(f' {size:>7}^3' for size in sizes)} | slowest / fastest"
