#!/usr/bin/env bash
# The benchmark programs keep working: what they answer, and what they say to bad options and problems. How fast is no matter here.
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
bench --passes grad_weight,forward --threads 1 --kernels scalar --algorithm direct --dtype f64 --cold <"$work/three.jsonl" >"$work/some.txt" 2>&1
expect 'problems come from stdin too; all options' "[ $? = 0 ] && python3 '$work/check.py' '$work/some.txt' 3 forward grad_weight"

refuses() { # words expected in the message, a line of a problem file, then the options
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

"$programs/roofline" --seconds 0.001 >"$work/roofline.txt" 2>&1
expect 'roofline ends with 0' "[ $? = 0 ]"
expect 'roofline writes rates' "python3 -c 'import json,sys; r = json.load(open(sys.argv[1])); assert \"fma_gflops\" in r or \"avx\" not in open(\"/proc/cpuinfo\").read(); assert r[\"read_gb_s\"][\"1\"] > 0 and r[\"triad_gb_s\"][\"1\"] > 0' '$work/roofline.txt'"

"$programs/checkpoint_bench" --millions 0.01 --times 1 --folder "$work" >"$work/checkpoint.txt" 2>&1
expect 'checkpoint_bench ends with 0, and leaves no file' "[ $? = 0 ] && ! ls '$work' | grep -q checkpoint_bench"
expect 'checkpoint_bench writes rates' "python3 -c 'import json,sys; r = json.load(open(sys.argv[1])); assert all(r[e][d] > 0 for e in (\"decimal\", \"base64\", \"nlohmann\") for d in (\"save\", \"load\")) and 1.3 < r[\"base64_of_raw\"] < 1.4' '$work/checkpoint.txt'"
"$programs/roundtrip_numbers" --f32-step 65521 --f64 100000 >"$work/numbers.txt" 2>&1
expect 'roundtrip_numbers ends with 0 and counts' "[ $? = 0 ] && grep -q '\"f32\": 65552, \"f32_wrong\": 0, \"f64\": 100000, \"f64_wrong\": 0' '$work/numbers.txt'"
"$programs/save_bench" --layers 2 --width 8 --batch 2 --saves 1 --folder "$work" >"$work/save.txt" 2>&1
expect 'save_bench ends with 0, with a line a way' "[ $? = 0 ] && python3 -c 'import json,sys; assert [json.loads(l)[\"way\"] for l in open(sys.argv[1])] == [\"shared\", \"detached\", \"copied\"]' '$work/save.txt'"

"$sources/compare" --help >"$work/help.txt" 2>&1
expect 'compare says what it takes' "[ $? = 0 ] && grep -q -- --peers '$work/help.txt'"
"$sources/compare" --peers abacus >"$work/error.txt" 2>&1
expect 'compare refuses an unknown peer before it installs anything' "[ $? != 0 ] && grep -q abacus '$work/error.txt'"
expect 'peers.py and conv3d_bench count the same FLOPs' "python3 -c '
import json, sys
sys.path.insert(0, sys.argv[2])
from peers import geometry
for p, a in zip(open(sys.argv[1] + \"/three.jsonl\"), open(sys.argv[1] + \"/three.txt\")):
    assert geometry(json.loads(p))[\"flops\"] == json.loads(a)[\"flops\"]' '$work' '$sources'"
exit $failed
