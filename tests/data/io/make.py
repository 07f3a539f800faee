# Makes the files of this folder with numpy and the package safetensors: python make.py. The files were made with numpy
# 2.4.6 and safetensors 0.8.0; the tests repeat the values.
import os

import numpy as np
from safetensors.numpy import save_file

os.chdir(os.path.dirname(os.path.abspath(__file__)))
f32 = np.array([[1.5, -0.0, np.inf], [np.nan, 1e-42, 3.4028235e38]], np.float32)
f64 = np.array([0.1, -2.5e-308, 5e-324], np.float64)
i32 = np.array([[[-2147483648], [2147483647]]], np.int32)
half = np.array([1.0, -0.0, 65504.0, 6e-8, np.inf, -1 / 3], np.float16)

# Both libraries write these; voxgrad must write the same bytes.
ours = {"b.weight": f32, "a/ü": f64, "c \"quoted\"\n": i32, "scalar": np.array(7, np.float32), "empty": np.zeros((0, 3), np.float32)}
save_file(ours, "package.safetensors", {"note": "line\none \"two\" ü"})
np.savez("numpy.npz", **{k: v for k, v in ours.items() if '"' not in k})
np.savez_compressed("numpy_deflated.npz", ramp=np.arange(3000, dtype=np.float32).reshape(3, 1000), few=i32)

# Types that voxgrad converts.
others = {"half": half, "u8": np.array([0, 255], np.uint8), "i8": np.array([-128, 127], np.int8), "u16": np.array([65535], np.uint16),
          "i16": np.array([-32768], np.int16), "u32": np.array([2147483647], np.uint32), "i64": np.array([-2147483648, 5], np.int64),
          "u64": np.array([9], np.uint64), "flags": np.array([True, False, True])}
save_file(others, "others.safetensors")
big = {f"big_{k}": v.astype(v.dtype.newbyteorder(">")) for k, v in {"f4": f32, "f8": f64, "i4": i32, "f2": half, "i8": others["i64"]}.items()}
cube = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
np.savez("others.npz", **others, **big, fortran=np.asfortranarray(cube), fortran_matrix=np.asfortranarray(f32))
