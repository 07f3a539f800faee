"""Measures torch.save / torch.load and safetensors as checkpoint_bench measures voxgrad: MB of the file per second of
CPU time of the process (user and system), from the shortest of several times. Prints one line of JSON. Needs torch and safetensors (pip).
usage: checkpoint_peers.py [MILLIONS_OF_F32] [TIMES] [FOLDER]"""
import json
import os
import sys
import tempfile
import time

import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
millions, times = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0, int(sys.argv[2]) if len(sys.argv) > 2 else 5
generator = torch.Generator().manual_seed(1)
count, each = int(millions * 1e6), 1 << 18
weights = {f"w{i}": 0.05 * torch.randn(min(each, count - i * each), generator=generator) for i in range((count + each - 1) // each)}


def shortest(f):
    def once():
        begin = time.process_time()
        f()
        return time.process_time() - begin

    return min(once() for _ in range(times))


def load_safetensors(path):
    # the file is mapped: the copy brings the tensors into memory, as the other loads do
    return {name: t.clone() for name, t in load_file(path).items()}


answer = {"raw_mb": 4 * count / 1e6}
with tempfile.TemporaryDirectory(dir=sys.argv[3] if len(sys.argv) > 3 else None) as folder:
    for name, save, load in [("torch", lambda p: torch.save(weights, p), torch.load),
                             ("safetensors", lambda p: save_file(weights, p), load_safetensors)]:
        path = os.path.join(folder, name)
        seconds = shortest(lambda: save(path))
        mb = os.path.getsize(path) / 1e6
        answer[name] = {"mb": mb, "save": mb / seconds, "load": mb / shortest(lambda: load(path))}
print(json.dumps(answer))
