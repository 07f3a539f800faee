"""Times segment_brain's training step against its PyTorch twin, interleaved, on this machine.

usage: compare_segment_brain.py [--program build/release/examples/segment_brain] [--rounds 5] [--steps 20] [--threads 2]
Needs from PyPI: torch nibabel numpy; from Debian: mricron-data. Run it on an otherwise idle machine.
Both programs run the same net, data and recipe, `rounds` times in turn. The time of a step is the mean over `steps` steps with all their
work: augmentation, forward, backward, optimizer, and one evaluation of the held-out half at the end. Prints one line per round, then the
medians and the median ratio.
"""
import argparse, os, re, statistics, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
a = argparse.ArgumentParser()
a.add_argument("--program", default=os.path.join(here, "../build/release/examples/segment_brain"))
a.add_argument("--rounds", type=int, default=5); a.add_argument("--steps", type=int, default=20); a.add_argument("--threads", type=int, default=2)
a = a.parse_args()

def seconds_a_step(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0: sys.exit(f"{command[0]} failed:\n{result.stdout}{result.stderr}")
    return float(re.search(r"([0-9.]+) s per step", result.stdout).group(1))

with tempfile.TemporaryDirectory() as folder:
    common = ["--steps", str(a.steps), "--threads", str(a.threads)]
    ours, theirs = [], []
    for round in range(1, a.rounds + 1):
        ours.append(seconds_a_step([a.program, *common, "--output", folder]))
        theirs.append(seconds_a_step([sys.executable, os.path.join(here, "segment_brain_torch.py"), *common]))
        print(f"round {round}: voxgrad {ours[-1]:.3f} s, PyTorch {theirs[-1]:.3f} s per step, ratio {theirs[-1] / ours[-1]:.2f}", flush=True)
    ratios = [t / o for t, o in zip(theirs, ours)]
    print(f"median: voxgrad {statistics.median(ours):.3f} s, PyTorch {statistics.median(theirs):.3f} s per step; ratio {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})")
