"""Draws compare's JSON: each problem's ratios to the best peer, by class. usage: plot.py COMPARE.json PICTURE.png (needs matplotlib)"""
import json, sys
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

document = json.load(open(sys.argv[1]))
problems = sorted(document["problems"], key=lambda p: (list(document["targets"]).index(p["class"]) if p["class"] in document["targets"] else 99, p["name"]))
figure, axes = plt.subplots(figsize=(9, 1.5 + 0.22 * len(problems)))
for name, mark, colour in (("forward", "o", "tab:blue"), ("grad_input", "s", "tab:orange"), ("grad_weight", "^", "tab:green")):
    points = [(p["passes"][name]["ratio"], y) for y, p in enumerate(problems) if p["passes"].get(name, {}).get("ratio")]
    axes.plot([x for x, _ in points], [y for _, y in points], mark, color=colour, label=name, markersize=5)
    goals = [(document["targets"].get(p["class"], {}).get(name), y) for y, p in enumerate(problems)]
    axes.plot([x for x, _ in goals if x], [y for x, y in goals if x], "|", color=colour, markersize=9)
axes.axvline(1, color="black", linewidth=0.8)
axes.set_xscale("log")
axes.set_yticks(range(len(problems)), [f"{p['name']}  [{p['class']}]" for p in problems], fontsize=7)
axes.set_ylim(len(problems) - 0.5, -0.5)
axes.grid(axis="x", which="both", alpha=0.3)
axes.set_xlabel("time of the best peer / voxgrad's (bars: targets)")
axes.set_title(f"{document['machine']}, {document['threads']} threads", fontsize=9, pad=28)
axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncol=3, fontsize=8)
figure.tight_layout()
figure.savefig(sys.argv[2], dpi=130)
