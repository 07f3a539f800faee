"""Write reference averages of torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn (float64): ema.json.

usage: make_golden_ema.py [OUT=ema.json]     (needs: torch, numpy; CPU). The schema is in README.md.
"""
import json, os, sys
import numpy as np, torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
torch.set_default_dtype(torch.float64)
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "ema.json")
pack = lambda a: {"shape": list(a.shape), "data": [float(v) for v in a.detach().numpy().ravel()]}
cases = []
for decay in (0.0, 0.3, 0.5, 0.9, 0.999):
    rng = np.random.default_rng(5)
    model = torch.nn.Linear(2, 3)
    draw = lambda p: torch.tensor(np.round(rng.standard_normal(tuple(p.shape)) * 1024) / 1024)
    path = []
    ema = None
    for step in range(6):
        values = {k: draw(p) for k, p in model.named_parameters()}
        with torch.no_grad():
            for k, p in model.named_parameters(): p.copy_(values[k])
        if ema is None: ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))   # starts with a copy of the first values
        else: ema.update_parameters(model)
        path.append({"values": {k: pack(v) for k, v in values.items()},
                     "averages": {k: pack(p) for k, p in ema.module.named_parameters()}})
    cases.append({"decay": decay, "steps": path})
with open(out, "w") as f:
    json.dump({"oracle": f"torch {torch.__version__.split('+')[0]}, float64", "cases": cases}, f, separators=(",", ":"))
    f.write("\n")
