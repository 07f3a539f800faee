# Makes the seeds of tests/fuzz/corpus: small files of every kind. python3 make_corpus.py (needs numpy and safetensors).
import base64
import gzip
import io
import json
import os
import random
import struct
import zlib

import numpy as np
from safetensors.numpy import save

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus"))


def put(target, name, data):
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(target, name), "wb") as f:
        f.write(data)


def archive(compress=False, **arrays):
    f = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(f, **arrays)
    return f.getvalue()


def array(a, version=None):
    f = io.BytesIO()
    np.lib.format.write_array(f, a, version=version)
    return f.getvalue()


def nifti(swapped=False, code=4, version=1, dims=(3, 2, 2, 1, 1, 1, 1, 1)):
    e = ">" if swapped else "<"
    b = bytearray(352 if version == 1 else 544)
    fields = ([("i", 0, 348), ("8h", 40, *dims), ("h", 70, code), ("h", 72, 16), ("8f", 76, 1, 1, 2, 3, 1, 1, 1, 1), ("f", 108, 352),
               ("2f", 112, 1, 0), ("2h", 252, 1, 1), ("12f", 280, 1, 0, 0, 5, 0, 2, 0, 6, 0, 0, 3, 7), ("4s", 344, b"n+1\0")] if version == 1 else
              [("i", 0, 540), ("8s", 4, b"n+2\0\r\n\x1a\n"), ("h", 12, code), ("h", 14, 16), ("8q", 16, *dims), ("8d", 104, 1, 1, 2, 3, 1, 1, 1, 1),
               ("q", 168, 544), ("2d", 176, 1, 0), ("2i", 344, 1, 0)])
    for kind, at, *values in fields:
        struct.pack_into(e + kind, b, at, *values)
    return bytes(b) + bytes(range(64))


f4 = np.array([[1.5, -2], [np.inf, 0]], np.float32)
kinds = ["f2", "f4", "f8", "b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
put("safetensors", "types", save({k: np.ones(2, k) for k in kinds}, {"note": "text"}))
put("safetensors", "shapes", save({"w": f4, "e": np.zeros((0, 3), np.int32), "s": np.array(1.0), "d": np.zeros((1,) * 8, np.float32)}))
put("safetensors", "none", save({}))
put("npz", "stored", archive(w=f4, i=np.arange(3, dtype=np.int32)))
put("npz", "deflated", archive(True, w=f4, i=np.arange(3, dtype=np.int64)))
put("npz", "none", archive())
for k in kinds:
    put("npz", "npy_" + k, array(np.ones((2, 1), k)))
put("npz", "npy_big_fortran", array(np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))))
put("npz", "npy_v2", array(f4, (2, 0)))
put("npz", "npy_v3", array(f4, (3, 0)))
for name, data in {"int16": nifti(), "swapped": nifti(True), "double": nifti(code=64), "uint8_4d": nifti(code=2, dims=(4, 2, 2, 1, 3, 1, 1, 1)),
                   "version2": nifti(version=2), "version2_swapped": nifti(True, version=2)}.items():
    put("nifti", name, data)
    put("nifti", name + "_gz", gzip.compress(data, mtime=0))
tensor = {"dtype": "f32", "shape": [2], "values": [0.5, "nan:0x7fc00001"]}
bundle = {"values": {"b": True, "i": -1, "d": 1.5, "t": "x", "l": [1, 2], "e": {"f64": []}, "n": {"f64": "nan"}}, "tensors": {"m": tensor}, "parts": {"p": {}}}
document = {"format": "voxgrad-checkpoint", "version": 1, "progress": {"step": 3, "best": 0.25, "name": "a\u00fc\n"},
            "generator": {"algorithm": "threefry2x32", "key": [0, 42]},
            "model": {"description": {"kind": "Net", "options": {"n": [1.5]}, "children": {"c": {"kind": "Linear"}}},
                      "states": {"c.weight": {"kind": "ParamState", "leaves": {"weight": tensor, "i": {"dtype": "i32", "shape": [], "values": [7]},
                                                                              "d": {"dtype": "f64", "shape": [1, 0], "values": []}}}}},
            "optimizer": bundle, "parts": {"loader": bundle}}
put("checkpoint", "all", json.dumps(document, indent=1).encode())
put("checkpoint", "model", json.dumps({k: document[k] for k in ("format", "version", "model")}).encode())
put("checkpoint", "none", json.dumps({k: document[k] for k in ("format", "version")}).encode())
# Format 2: base64 and checksums, each with and without.
coded = {"dtype": "f32", "shape": [2], "encoding": "base64", "crc32": zlib.crc32(f4[0].tobytes()), "values": base64.b64encode(f4[0].tobytes()).decode()}
second = dict(document, version=2, optimizer=dict(bundle, tensors={"m": coded, "n": dict(tensor, crc32=zlib.crc32(struct.pack("<2I", 0x3f000000, 0x7fc00001)))}))
del second["model"]
text = json.dumps(second, indent=1).encode()[:-2] + b',\n "crc32": '
put("checkpoint", "base64", text + str(zlib.crc32(text[:text.rindex(b'"crc32"')])).encode() + b"\n}\n")
put("checkpoint", "base64_unsummed", json.dumps(dict(second, optimizer={"tensors": {"m": {k: v for k, v in coded.items() if k != "crc32"}}})).encode())
random.seed(1)
for i in range(24):
    put("conv3d", f"random_{i:02}", bytes(random.randrange(200) for _ in range(120)))
