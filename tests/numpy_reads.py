# Checks that numpy reads the files that voxgrad writes. usage: numpy_reads.py VOXGRAD DATA WORK
import os
import subprocess
import sys

import numpy as np

voxgrad, data, work = sys.argv[1:]
os.makedirs(work, exist_ok=True)
for name in ("numpy.npz", "numpy_deflated.npz", "others.npz"):
    target = os.path.join(work, name)
    subprocess.run([voxgrad, "convert", os.path.join(data, name), "--to", "npz", "-o", target], check=True)
    theirs, ours = np.load(os.path.join(data, name), allow_pickle=False), np.load(target, allow_pickle=False)
    assert theirs.files == ours.files, (theirs.files, ours.files)
    for key in theirs.files:
        a, b = theirs[key], ours[key]
        wide = {"f": np.float64 if a.dtype.itemsize == 8 else np.float32}.get(a.dtype.kind, np.int32)
        assert b.dtype == np.dtype(wide) and b.flags.c_contiguous, (key, b.dtype)
        assert a.astype(wide).tobytes() == b.tobytes() and a.shape == b.shape, key
print("numpy", np.__version__, "reads all")
