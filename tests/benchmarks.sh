#!/usr/bin/env bash
# Checks that the benchmark programs work: their answers, and their messages for bad options and problems. Speed does not matter here.
# usage: benchmarks.sh FOLDER_OF_PROGRAMS FOLDER_OF_SOURCES WORK_DIR
set -u
programs=$1 sources=$2 work=$3
rm -rf "$work" && mkdir -p "$work" || exit 2
failed=0
expect() { if ! eval "$2"; then echo "FAILED: $1"; failed=1; fi; }
bench() { "$programs/conv3d_bench" --seconds 0.001 "$@"; }

grep -hE '"(tiny_8_8|tiny_1to8_9|f64_12to20_valid_13)"' "$sources"/problems*.jsonl >"$work/three.jsonl"
bench --problems "$work/three.jsonl" >"$work/three.txt" 2>&1
expect 'three problems end with 0' "[ $? = 0 ]"
cat >"$work/check.py" <<'P'
import json, sys
for line in open(sys.argv[1]):
    answer = json.loads(line)
    assert answer["name"] and answer["flops"] > 0 and "error" not in answer, line
    for q in sys.argv[3:]: assert answer[q] > 0 and answer["error_" + q] < 1e-4, line
    assert sum(q in answer for q in ("forward", "grad_input", "grad_weight")) == len(sys.argv[3:]), line
assert sum(1 for _ in open(sys.argv[1])) == int(sys.argv[2])
P
expect 'each has a line with three times' "python3 '$work/check.py' '$work/three.txt' 3 forward grad_input grad_weight"
bench --passes grad_weight,forward --threads 1 --kernels portable --algorithm direct --dtype f64 --cold <"$work/three.jsonl" >"$work/some.txt" 2>&1
expect 'problems come from stdin too; all options' "[ $? = 0 ] && python3 '$work/check.py' '$work/some.txt' 3 forward grad_weight"

refuses() { # arguments: words expected in the message, a line of a problem file, then the options
  local words=$1
  printf '%s\n' "$2" >"$work/problem.jsonl"
  shift 2
  if bench --problems "$work/problem.jsonl" "$@" >"$work/answer.txt" 2>"$work/error.txt"; then echo "FAILED: accepted: $*"; failed=1; fi
  grep -qF -- "$words" "$work/answer.txt" "$work/error.txt" || { echo "FAILED: no \"$words\" in the answer to: $*"; cat "$work/answer.txt" "$work/error.txt"; failed=1; }
}
sizes='"name": "p", "in_size": [4, 4, 4, 2]'
good="{$sizes, \"kernel_size\": 3, \"out_channels\": 4}"
refuses '--nonsense' "$good" --nonsense
refuses '--dtype' "$good" --dtype f16
refuses '--passes' "$good" --passes backward
refuses 'sse' "$good" --kernels sse
refuses 'must be auto, direct' "$good" --algorithm fft
refuses 'problem.jsonl:1: ' 'nonsense'
refuses 'no JSON object' 'nonsense'
refuses 'kernel_size: is missing' "{$sizes, \"out_channels\": 4}"
refuses 'kernel_size: got 3.5' "{$sizes, \"out_channels\": 4, \"kernel_size\": 3.5}"
refuses 'strides: unknown key' "{$sizes, \"out_channels\": 4, \"kernel_size\": 3, \"strides\": 2}"
refuses 'groups: got 3' "{$sizes, \"out_channels\": 4, \"kernel_size\": 3, \"groups\": 3}"
refuses 'no output' "{$sizes, \"out_channels\": 4, \"kernel_size\": 5, \"padding\": \"VALID\"}"
refuses 'must be f32, f64 or bf16' "{$sizes, \"out_channels\": 4, \"kernel_size\": 3, \"dtype\": \"i8\"}"
"$programs/conv3d_bench" --problems "$work/none.jsonl" >"$work/error.txt" 2>&1
expect 'a missing file is named' "[ $? != 0 ] && grep -q none.jsonl '$work/error.txt'"

"$programs/choice_bench" --problems "$work/three.jsonl" --rounds 1 >"$work/choice.txt" 2>&1
expect 'choice_bench ends with 0' "[ $? = 0 ]"
expect 'choice_bench compares the choice with each algorithm' "python3 -c 'import json,sys; r = [json.loads(l) for l in open(sys.argv[1])]; assert len(r) == 9 and all(l[\"chosen\"] in l[\"ms\"] and l[\"ratio\"] >= 1 for l in r)' '$work/choice.txt'"

"$programs/roofline" --seconds 0.001 >"$work/roofline.txt" 2>&1
expect 'roofline ends with 0' "[ $? = 0 ]"
expect 'roofline writes rates' "python3 -c 'import json,sys; r = json.load(open(sys.argv[1])); assert \"fma_gflops\" in r or \"avx\" not in open(\"/proc/cpuinfo\").read(); assert r[\"read_gb_s\"][\"1\"] > 0 and r[\"triad_gb_s\"][\"1\"] > 0' '$work/roofline.txt'"

"$programs/checkpoint_bench" --millions 0.01 --times 1 --folder "$work" >"$work/checkpoint.txt" 2>&1
expect 'checkpoint_bench ends with 0, and leaves no file' "[ $? = 0 ] && ! ls '$work' | grep -q checkpoint_bench"
expect 'checkpoint_bench writes rates' "python3 -c 'import json,sys; r = json.load(open(sys.argv[1])); assert all(r[e][d] > 0 for e in (\"decimal\", \"base64\", \"nlohmann\") for d in (\"save\", \"load\")) and 1.3 < r[\"base64_of_raw\"] < 1.4' '$work/checkpoint.txt'"
"$programs/roundtrip_numbers" --f32-step 65521 --f64 100000 >"$work/numbers.txt" 2>&1
expect 'roundtrip_numbers ends with 0 and counts' "[ $? = 0 ] && grep -q '\"f32\": 65552, \"f32_wrong\": 0, \"f64\": 100000, \"f64_wrong\": 0' '$work/numbers.txt'"
"$programs/save_bench" --layers 2 --width 8 --batch 2 --saves 1 --folder "$work" >"$work/save.txt" 2>&1
expect 'save_bench ends with 0, with one line per way' "[ $? = 0 ] && python3 -c 'import json,sys; assert [json.loads(l)[\"way\"] for l in open(sys.argv[1])] == [\"shared\", \"detached\", \"copied\"]' '$work/save.txt'"

# Energy counters as the kernel provides them: one package, and a part of it that must not count twice.
mkdir -p "$work/powercap/intel-rapl:0" "$work/powercap/intel-rapl:0:0"
for folder in "$work"/powercap/*; do echo 1000 >"$folder/energy_uj"; echo 262143328850 >"$folder/max_energy_range_uj"; done
# One thread, because with several the number of simultaneous workspaces depends on timing.
"$programs/train_step" --threads 1 --seconds 0 --size 8 --batch 2 --powercap "$work/powercap" >"$work/train.txt" 2>&1
expect 'train_step ends with 0' "[ $? = 0 ]"
cat >"$work/train.py" <<'P'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
# the numbers of parameters of the nets in train_torch.py, for the CNN with volumes of 8^3
assert {r["name"]: r["parameters"] for r in lines} == {"unet": 339940, "resnet": 225563, "cnn": 4986, "mednext": 9508}, lines
for r in lines:
    assert r["threads"] == 1 and r["steps"] >= 5 and 0 < r["min_ms"] <= r["median_ms"], r
    assert r["loss_last"] < r["loss_first"] < 10, r  # the volumes are the same in every step, so the net learns them
    assert r["peak_mb"] > r["pool_peak_mb"] > 0 and r["system_allocations"] == 0, r
    assert abs(r["voxels_per_s"] * r["min_ms"] / 1e3 / (2 * 8**3) - 1) < 1e-3 and r["joules_per_step"] == 0, r
P
expect 'train_step trains all models, with no allocation after the second step' "python3 '$work/train.py' '$work/train.txt'"
"$programs/train_step" --model cnn --threads 2 --seconds 0 --warmup 1 --powercap "$work/none" >"$work/cnn.txt" 2>&1
expect 'the CNN has its default size if none is given; energy that cannot be read is null' "python3 -c '
import json, sys
r = json.load(open(sys.argv[1]))
assert (r[\"parameters\"], r[\"batch\"], r[\"size\"], r[\"threads\"], r[\"joules_per_step\"]) == (13946, 32, 16, 2, None), r' '$work/cnn.txt'"
"$programs/train_step" --model unet --size 6 >"$work/error.txt" 2>&1
expect 'train_step names a size that a net does not support' "[ $? != 0 ] && grep -q -- '--size: got 6; unet takes a multiple of 4' '$work/error.txt'"
"$programs/train_step" --model unet --size 6 2>/dev/full
expect 'a message that cannot be written does not change the exit status' "[ $? = 1 ]"
"$programs/train_step" --model vgg >"$work/error.txt" 2>&1
expect 'train_step refuses an unknown model' "[ $? != 0 ] && grep -q -- '--model' '$work/error.txt'"

# compare_train with a fake PyTorch: eager takes 4.1 s per step; compiled takes 4 s and half the memory, and fails in channels-last.
mkdir -p "$work/venv/bin"
cat >"$work/venv/bin/python" <<'P'
#!/bin/sh
case "$*" in
  *pip*) echo '[{"name": "torch", "version": "0.1"}, {"name": "numpy", "version": "0.1"}, {"name": "brainstate", "version": "0.1"}, {"name": "braintools", "version": "0.1"}, {"name": "jax", "version": "0.1"}]'; exit ;;
  *train_brainstate.py*) ms=9000 peak=2000 ;;
  *last*--compiled*) printf 'Traceback\nsome.exc.InductorError: no compiler\nSet VERBOSE=1 for more\n' >&2; exit 1 ;;
  *--compiled*) ms=4000 peak=500 ;;
  *) ms=4100 peak=1000 ;;
esac
echo 'a warning'
echo "{\"parameters\": ${PARAMETERS:-4986}, \"min_ms\": $ms, \"peak_mb\": $peak, \"joules_per_step\": 8.0}"
P
"$programs/op_overhead" >"$work/overhead.json"
expect 'op_overhead writes the cost of an op' "python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); assert 0 < r[\"forward_us\"] and 0 < r[\"backward_us\"] and r[\"ops\"] == 1000' '$work/overhead.json'"

chmod +x "$work/venv/bin/python"
compare_train() { "$sources/compare_train" --program "$programs/train_step" --venv "$work/venv" --models cnn --size 8 --batch 2 --seconds 0 --out "$work/train.json" "$@"; }
compare_train --rounds 2 --brainstate --one-thread --sizes 8,12 >"$work/compare_train.txt" 2>&1
expect 'compare_train ends with 0' "[ $? = 0 ]"
cat >"$work/compare_train.py" <<'P'
import json, sys
document, text = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
(model,) = document["models"]
c = model["compared"]
assert len(model["ours"]) == 2 and {v: len(rounds) for v, rounds in model["theirs"].items()} == {"eager-first": 2, "eager-last": 2, "compiled-first": 2}, model
assert model["errors"] == {"compiled-last": "some.exc.InductorError: no compiler"} and "compiled-last is left out: some.exc" in text, model
assert c["torch_variant"] == "compiled-first" and c["torch_ms"] == 4000 and abs(c["ratio"] * c["our_ms"] / 4000 - 1) < 1e-9, c
assert c["ratio_least"] <= c["ratio_median"] and c["ratio"] == max(c["round_ratios"]) and len(c["round_ratios"]) == 2, c
assert c["torch_peak_mb"] == 500 and abs(c["memory_ratio"] * c["our_peak_mb"] / 500 - 1) < 1e-9 and c["our_peak_mb"] == max(r["peak_mb"] for r in model["ours"]), c
assert c["joules_per_step"]["torch"] == 8 and text.count("energy") == 1, c
entry = document["brainstate"]
assert entry["brainstate_ms"] == 9000 and abs(entry["ratio"] * entry["our_ms"] / 9000 - 1) < 1e-9 and len(entry["round_ratios"]) == 2 and "brainstate 9000.0 ms" in text, entry
(entry,) = document["one_thread"]
assert entry["threads"] == document["threads"] and abs(entry["share"] * entry["one_ms"] / entry["ms"] - 1) < 1e-9, entry
(entry,) = document["sizes"]
rates = entry["voxels_per_s"]
assert list(rates) == ["8", "12"] and abs(entry["steady"] - min(rates.values()) / max(rates.values())) < 1e-9, entry
P
expect 'compare_train uses the fastest variant, leaves out one that fails, and writes ratios' "python3 '$work/compare_train.py' '$work/train.json' '$work/compare_train.txt'"
compare_train --rounds 1 --variants none >"$work/alone.txt" 2>&1
expect 'compare_train measures voxgrad alone' "[ $? = 0 ] && grep -q '^cnn' '$work/alone.txt'"
PARAMETERS=4987 compare_train --rounds 1 >"$work/error.txt" 2>&1
expect 'compare_train fails if the nets differ' "[ $? = 1 ] && grep -q '4986 parameters here and 4987' '$work/error.txt'"
compare_train --variants jit >"$work/error.txt" 2>&1
expect 'compare_train refuses an unknown variant' "[ $? != 0 ] && grep -q 'there is no jit' '$work/error.txt'"

"$sources/compare" --help >"$work/help.txt" 2>&1
expect 'compare lists its options' "[ $? = 0 ] && grep -q -- --peers '$work/help.txt'"
"$sources/compare" --peers abacus >"$work/error.txt" 2>&1
expect 'compare refuses an unknown peer before it installs anything' "[ $? != 0 ] && grep -q abacus '$work/error.txt'"
expect 'peers.py and conv3d_bench count the same FLOPs' "python3 -c '
import json, sys
sys.path.insert(0, sys.argv[2])
from peers import geometry
for p, a in zip(open(sys.argv[1] + \"/three.jsonl\"), open(sys.argv[1] + \"/three.txt\")):
    assert geometry(json.loads(p))[\"flops\"] == json.loads(a)[\"flops\"]' '$work' '$sources'"
exit $failed
