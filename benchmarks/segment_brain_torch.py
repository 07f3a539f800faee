"""The PyTorch twin of examples/segment_brain: a U-Net learns brain regions on one hemisphere of a real MRI and is tested on the other, mirrored.

usage: segment_brain_torch.py [--steps 400] [--data DIR] [--threads 2] [--seed 0]     (PyPI: torch nibabel; Debian: mricron-data)
"""
import argparse, os, time
import nibabel, numpy as np, torch, torch.nn.functional as F
from train_torch import UNet

a = argparse.ArgumentParser(); a.add_argument("--steps", type=int, default=400); a.add_argument("--data", default="/usr/share/mricron/templates")
a.add_argument("--threads", type=int, default=2); a.add_argument("--seed", type=int, default=0); a = a.parse_args()
torch.set_num_threads(a.threads); torch.manual_seed(a.seed)
GROUPS = {1: "Precentral Frontal Rolandic Supp Olfactory Rectus Paracentral", 2: "Postcentral Parietal SupraMarginal Angular Precuneus",
          3: "Temporal Heschl Fusiform", 4: "Calcarine Cuneus Lingual Occipital", 5: "Insula Cingulum Hippocampus ParaHippocampal Amygdala",
          6: "Caudate Putamen Pallidum Thalamus", 7: "Cerebelum Vermis"}     # frontal, parietal, temporal, occipital, limbic, deep grey, cerebellum
group_of = {word: k for k, words in GROUPS.items() for word in words.split()}
lut = np.zeros(117, int)
for line in open(os.path.join(a.data, "aal.nii.txt")):
    if line.strip(): lut[int(line.split()[0])] = group_of[line.split()[1].split("_")[0]]
load = lambda n: np.asarray(nibabel.load(os.path.join(a.data, n)).dataobj)[:180, :216, :180]
t1 = load("ch2.nii.gz").astype(np.float32).reshape(60, 3, 72, 3, 60, 3).mean((1, 3, 5))      # block means at 3 mm
labels = lut[load("aal.nii.gz")[1::3, 1::3, 1::3]]                                             # the centre voxel's label
t1 = (t1 - t1.mean()) / t1.std()
pad = lambda v: np.pad(v, ((0, 2), (0, 0), (0, 4)))                                            # 30 x 72 x 60 -> 32 x 72 x 64
def half(v, l):
    x = torch.tensor(pad(v))[None, None]
    grid = torch.meshgrid(*[torch.linspace(-1, 1, s) for s in x.shape[2:]], indexing="ij")
    return torch.cat([x, torch.stack(grid)[None]], 1).contiguous(memory_format=torch.channels_last_3d), torch.tensor(pad(l))[None]
x_test, y_test = half(t1[:30], labels[:30])
x_train, y_train = half(t1[30:][::-1].copy(), labels[30:][::-1].copy())
model = UNet(4, (16, 32, 64), 8).to(memory_format=torch.channels_last_3d)
opt = torch.optim.AdamW(model.parameters(), 3e-3); schedule = torch.optim.lr_scheduler.OneCycleLR(opt, 1e-2, total_steps=a.steps)
def dice(logits, y):
    p = logits.argmax(1)
    return np.array([(2 * ((p == c) & (y == c)).sum() / ((p == c).sum() + (y == c).sum())).item() for c in range(1, 8)])
start = time.time()
for step in range(1, a.steps + 1):
    x = x_train.clone(); x[:, :1] = x[:, :1] * (1 + .2 * torch.randn(1)) + .1 * torch.randn(1) + .1 * torch.randn_like(x[:, :1])
    shift = [int(v) for v in torch.randint(-2, 3, (3,))]
    x[:, :1] = torch.roll(x[:, :1], shift, (2, 3, 4)); y = torch.roll(y_train, shift, (1, 2, 3))
    opt.zero_grad(set_to_none=True)
    logits = model(x); p = logits.softmax(1); one_hot = F.one_hot(y, 8).permute(0, 4, 1, 2, 3).float()
    overlap, total = (p * one_hot).sum((0, 2, 3, 4)), (p + one_hot).sum((0, 2, 3, 4))
    loss = F.cross_entropy(logits, y) + 1 - (2 * overlap[1:] / (total[1:] + 1e-5)).mean()
    loss.backward(); opt.step(); schedule.step()
    if step % 50 == 0 or step == a.steps:
        with torch.no_grad(): d = dice(model(x_test), y_test)
        print(f"step {step} {time.time() - start:.0f} s loss {loss.item():.4f} held-out Dice {np.round(d, 3)} mean {d.mean():.3f}", flush=True)
seconds = time.time() - start
print(f"{a.steps} steps in {seconds:.1f} s, {seconds / a.steps:.3f} s per step with all its work")
