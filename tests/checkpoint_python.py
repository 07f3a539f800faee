"""Checks checkpoints in Python: docs/checkpoint.schema.json on real files, and the programs in README.md and
docs/checkpoint-format.md.
usage: checkpoint_python.py SAMPLES_PROGRAM SOURCE_FOLDER WORK_FOLDER"""
import base64
import copy
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zlib

import jsonschema

samples, source, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)
subprocess.run([samples, str(work)], check=True)

# the schema is valid, real files conform to it, and broken ones do not
schema = json.loads((source / "docs/checkpoint.schema.json").read_text())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
files = sorted(work.glob("*.json")) + sorted((source / "tests/data").glob("checkpoint-v*.json"))
assert len(files) == 12, files
for path in files:
    errors = [f"{path.name}: {e.json_path}: {e.message[:200]}" for e in validator.iter_errors(json.loads(path.read_text()))]
    assert not errors, "\n".join(errors)
documented = re.search(r"```json\n(.*?)```", (source / "docs/checkpoint-format.md").read_text(), re.S).group(1)
assert not list(validator.iter_errors(json.loads(documented)))
assert zlib.crc32(documented[:documented.rindex('"crc32"')].encode()) == json.loads(documented)["crc32"]

good = json.loads((work / "run.json").read_text())
weight = next(iter(good["model"]["states"]))


def broken(change):
    document = copy.deepcopy(good)
    change(document, document["model"]["states"][weight]["leaves"]["weight"])
    return list(validator.iter_errors(document))


assert not broken(lambda d, t: None)
assert not broken(lambda d, t: d["model"]["states"][weight].update(frozen=["weight"]))
assert not broken(lambda d, t: d.update(models={"a": d.pop("model")}, optimizers={"a": d.pop("optimizer")}))
for change in [
    lambda d, t: d.update(format="other"), lambda d, t: d.update(version=4), lambda d, t: d.update(version=1),
    lambda d, t: d.update(extra=1), lambda d, t: d.pop("version"), lambda d, t: d.update(crc32=-1),
    lambda d, t: d.update(crc32=2**32), lambda d, t: d["generator"].update(key=[1]),
    lambda d, t: d["model"].pop("description"), lambda d, t: d["progress"].update(x=None),
    lambda d, t: d["progress"].update(x=[]), lambda d, t: d["progress"].update(x={"f32": 1}),
    lambda d, t: d["progress"].update(x=[1, "a"]), lambda d, t: t.pop("dtype"), lambda d, t: t.update(dtype="f16"),
    lambda d, t: t.update(shape=[-1]), lambda d, t: t.update(shape=[1] * 9), lambda d, t: t.update(values="AAAA"),
    lambda d, t: t.update(encoding="base64"), lambda d, t: t.update(encoding="base64", values="AAA"),
    lambda d, t: t.update(encoding="hex"), lambda d, t: t["values"].append("NaN"), lambda d, t: t["values"].append(None),
    lambda d, t: d["model"]["states"][weight].update(frozen=True), lambda d, t: d.update(models={"a": {}}),
    lambda d, t: d.update(optimizers=[]), lambda d, t: t.update(dtype="i32"), lambda d, t: t["values"].append("nan:0x7ff8000000000001"),
]:
    assert broken(change), "a broken document was not seen"


# decimal and base64 hold the same bits, and the checksums are zlib's
def raw(tensor):
    letter, size = {"f32": ("I", 8), "f64": ("Q", 16), "i32": ("i", 0)}[tensor["dtype"]]

    def bits(v):
        if tensor["dtype"] == "i32":
            return v
        if isinstance(v, str) and v.startswith("nan"):
            return int(v[4:], 16) if ":" in v else {8: 0x7FC00000, 16: 0x7FF8000000000000}[size]
        float_letter = {8: "f", 16: "d"}[size]
        return struct.unpack("<" + letter, struct.pack("<" + float_letter, float(v)))[0]

    return struct.pack(f"<{len(tensor['values'])}{letter}", *map(bits, tensor["values"]))


def tensors(node):
    if isinstance(node, dict):
        if "dtype" in node:
            yield node
        else:
            for child in node.values():
                yield from tensors(child)


for name in ["run", "specials"]:
    decimal, coded = (json.loads((work / f"{name}{end}.json").read_text()) for end in ["", "-base64"])
    pairs = list(zip(tensors(decimal), tensors(coded), strict=True))
    assert len(pairs) > 8
    for d, b in pairs:
        assert raw(d) == base64.b64decode(b["values"], validate=True)
        assert zlib.crc32(raw(d)) == d["crc32"] == b["crc32"]


for tensor in tensors(json.loads(documented)):
    assert zlib.crc32(raw(tensor)) == tensor["crc32"], tensor


# the programs in the documents, on real files
def run(program, path):
    (work / "checkpoint.json").write_bytes(path.read_bytes())
    return subprocess.run([sys.executable, "-I", "-c", program], cwd=work, check=True, capture_output=True, text=True).stdout


readme = re.search(r"```sh\npython3 -c '\n(.*?)'\n```", (source / "README.md").read_text(), re.S).group(1)
assert len(readme.splitlines()) == 5, readme
decimal, coded = re.findall(r"```python\n(.*?)```", (source / "docs/checkpoint-format.md").read_text(), re.S)
model = good["model"]["states"]
for program, path in [(readme, work / "run.json"), (decimal, work / "run.json"), (coded, work / "run-base64.json"),
                      (readme, work / "specials.json"), (readme, source / "tests/data/checkpoint-v1.json"),
                      (coded, source / "tests/data/checkpoint-v2-base64.json")]:
    said = run(program, path)
    states = json.loads(path.read_text())["model"]["states"]
    assert len(said.splitlines()) == sum(len(s["leaves"]) for s in states.values()), said
    for name in states:
        assert name in said
first = model[weight]["leaves"]["weight"]
assert str(first["shape"]) in run(readme, work / "run.json") and str(first["values"][0]) in run(readme, work / "run.json")
print(f"{len(files)} files keep the schema")
