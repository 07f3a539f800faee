"""The table and the summary that compare prints, and the target ratios."""
import math

passes = ("forward", "grad_input", "grad_weight")

def asked(forward, grad_input=None, grad_weight=None):
    return dict(zip(passes, (forward, grad_input or forward, grad_weight or forward)))

# Targets per class: time of the best peer over ours. dense16, dense32 and dense64 are 3x3x3, stride 1, on volumes of 16^3 and more, by the smaller
# of the input and output channels (up to 31, 32 to 63, 64 and more). dense_small is 4^3 to 8^3 with at least 256 channels.
targets = {
    "dense16": asked(1.6, 1.6, 1.7), "dense32": asked(2.0, 2.0, 2.2), "dense64": asked(2.2), "dense_small": asked(1.05, 1.05, 1.3),
    "strided": asked(1.05), "factored": asked(1.05), "k5": asked(1.05), "k2s2": asked(1.05), "stem": asked(1.05, 5, 1.05), "head": asked(1.0),
    "pointwise": asked(1.0), "depthwise": asked(1.05, 10, 10), "grouped": asked(1.4), "dilated": asked(1.0, 1.0, 2.5), "transposed": asked(1.05),
    "f64_dense": asked(6), "f64_depthwise": asked(40), "tiny": asked(2),
}
most_load = 0.1  # figures are unreliable if other programs use more cores
all_asked, least_asked, jax_asked = 2.6, 0.95, 20  # geometric mean over problems.jsonl; each problem and pass; geometric mean against JAX

def mean(values): return math.exp(sum(map(math.log, values)) / len(values)) if values else None
def number(value, form): return format(value, form) if value is not None else "-"

def header():
    cells = "".join(f" | {q:>12}: ratio  peak" for q in passes)
    return f"{'problem':<32} {'class':<13}{cells}   (GFLOP/s; best peer's time / ours; share of the FMA peak)"

def row(p):
    cells = ""
    for q in passes:
        v = p["passes"].get(q, {})
        share = v.get("peak_share")
        cells += f" | {number(v.get('gflops'), '.1f'):>12} {number(v.get('ratio'), '.2f'):>6} {number(share and 100 * share, '.0f'):>5}%"
    errors = "".join(f"\n    {name}: {text}" for name, text in p["errors"].items())
    return f"{p['name']:<32} {p['class']:<13}{cells}{errors}"

def ratios(problems, key="ratio"):
    """(ratio, name of the problem, pass) for each pass that has a ratio."""
    return [(v[key], p["name"], q) for p in problems for q, v in p["passes"].items() if v[key]]

def line_of(entries, goal):
    values = [r for r, _, _ in entries]
    least = min(entries, default=(None, "", ""))
    return dict(count=len(values), mean=mean(values), min=least[0], min_problem=least[1], asked=goal, reached=sum(r >= goal for r in values) if goal else None)

def by_class(problems):
    classes = {}
    for name in [*targets, *sorted({p["class"] for p in problems} - set(targets))]:
        own = [p for p in problems if p["class"] == name]
        if own: classes[name] = {q: line_of([e for e in ratios(own) if e[2] == q], targets.get(name, {}).get(q)) for q in passes}
    return classes

def summary(problems):
    files = {f: line_of(ratios([p for p in problems if p["file"] == f]), all_asked if f == "problems.jsonl" else None)
             for f in sorted({p["file"] for p in problems})}
    below = [e for e in sorted(ratios(problems)) if e[0] < least_asked]
    load = sum(p["cores_of_others"] for p in problems) / len(problems)
    return dict(classes=by_class(problems), files=files, below=below, cores_of_others=load, jax=line_of(ratios(problems, "jax_ratio"), jax_asked))

def verdict(entry):
    if entry["asked"] is None: return ""
    return "" if entry["mean"] is None else "ok" if entry["mean"] >= entry["asked"] else "BELOW"

def text(s):
    """The summary as text. A class reaches its target by its geometric mean."""
    lines = [f"{'class':<14} {'pass':<12} {'mean':>7} {'asked':>6} {'':<6} {'reach it':>8} {'least':>7}  (ratios to the best peer; geometric means)"]
    for name, entries in s["classes"].items():
        for q, e in entries.items():
            reach = f"{e['reached']}/{e['count']}" if e["asked"] else ""
            lines.append(f"{name:<14} {q:<12} {number(e['mean'], '.2f'):>7} {number(e['asked'], '.2f'):>6} {verdict(e):<6} {reach:>8} "
                         f"{number(e['min'], '.2f'):>7}  {e['min_problem']}")
    for name, e in [*s["files"].items(), ("against JAX", s["jax"])]:
        if e["count"]: lines.append(f"{name}, all passes: geometric mean {e['mean']:.2f}{' of ' + str(e['asked']) + ' asked' if e['asked'] else ''}, "
                                    f"least {e['min']:.2f} ({e['min_problem']})")
    lines.append(f"below {least_asked}: {len(s['below'])}" + "".join(f"\n  {r:.2f} {name} {q}" for r, name, q in s["below"]))
    if s["cores_of_others"] > most_load:
        lines.append(f"UNRELIABLE: other programs kept {s['cores_of_others']:.1f} cores busy. A pass that waits for a thread without a core takes some "
                     "milliseconds more, and the programs wait in different ways.")
    return "\n".join(lines)
