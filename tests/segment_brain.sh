#!/usr/bin/env bash
# Runs segment_brain at a coarse spacing: checks its files, that a resumed run equals the undisturbed one, and the messages for bad options.
# usage: segment_brain.sh PROGRAM WORK_DIR
set -u
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" || exit 2
failed=0
expect() { if ! eval "$2"; then echo "FAILED: $1"; failed=1; fi; }
run() { "$program" --spacing 6 "$@"; }

run --steps 12 --threads 2 --checkpoint-every 6 --output "$work/whole" >"$work/whole.txt" 2>&1
expect 'a run of 12 steps ends with 0' "[ $? = 0 ]"
expect 'the last line is the mean Dice' "tail -n 1 '$work/whole.txt' | grep -qE '^held-out mean Dice 0\.[0-9]{3}$'"
expect 'Dice is given a class' "[ \$(grep -cE '(frontal|parietal|temporal|occipital|limbic and insula|deep grey nuclei|cerebellum) +0\.' '$work/whole.txt') -ge 7 ]"
expect 'no control characters where there is no terminal' "! grep -q \$'\\r' '$work/whole.txt'"
for file in checkpoints/step-000000012.json checkpoints/best.json history.json prediction.nii.gz report.html; do expect "$file is written" "[ -s '$work/whole/$file' ]"; done
expect 'the history has 12 losses' "python3 -c 'import json,sys; sys.exit(len(json.load(open(sys.argv[1]))[\"loss\"]) != 12)' '$work/whole/history.json'"
expect 'the report needs nothing from outside' "! grep -qE 'https?://|src=.[^d]' '$work/whole/report.html'"
expect 'nothing else is left in the folder' "[ \$(ls -A '$work/whole' | wc -l) = 4 ]"
expect 'the last two checkpoints and the link to the best are kept' "[ \"\$(ls '$work/whole/checkpoints' | tr '\n' ' ')\" = 'best.json step-000000006.json step-000000012.json ' ]"

run --steps 12 --stop-after 6 --checkpoint-every 6 --output "$work/part" >/dev/null 2>&1
run --steps 12 --resume --output "$work/part" --threads 1 >"$work/part.txt" 2>&1
expect 'a resumed run ends with 0' "[ $? = 0 ]"
expect 'a resumed run says where it goes on' "grep -q 'after step 6' '$work/part.txt'"
expect 'a resumed run ends with the same bytes, with another number of threads' "diff -r '$work/whole/checkpoints' '$work/part/checkpoints'"
expect 'and has the same history' "cmp '$work/whole/history.json' '$work/part/history.json'"


# The newest checkpoint is damaged: the run uses the one before it and ends with the same files.
cp -r "$work/whole" "$work/damaged"
truncate -s -100 "$work/damaged/checkpoints/step-000000012.json"
run --steps 12 --resume --output "$work/damaged" --threads 2 >"$work/damaged.txt" 2>&1
expect 'a run goes on from the newest checkpoint that is whole' "[ $? = 0 ] && grep -q 'after step 6' '$work/damaged.txt'"
expect 'and says which one it passed over' "grep -q 'Passed over: .*step-000000012.json' '$work/damaged.txt'"
expect 'and ends with the same bytes' "diff -r '$work/whole/checkpoints' '$work/damaged/checkpoints'"

run --steps 3 --resume --output "$work/fresh" >"$work/fresh.txt" 2>&1
expect 'with no checkpoint --resume starts afresh, and says so' "[ $? = 0 ] && grep -q 'a fresh start' '$work/fresh.txt'"
run --steps 12 --checkpoint-every 1 --rate 1e30 --output "$work/nan" >"$work/nan.txt" 2>&1
expect 'a loss of NaN ends a run' "[ $? = 1 ] && grep -q 'not finite' '$work/nan.txt'"
expect 'and names step and layer' "grep -qE '^\[(NanFinder|checkpoint)\].*(step [0-9]+: .* in [a-z0-9.]+ \(|the model)' '$work/nan.txt'"
expect 'and leaves a checkpoint that is finite' "[ -s '$work/nan/checkpoints/step-000000001.json' ] && ! grep -qE '\"(nan|inf|-inf)\"' '$work'/nan/checkpoints/*.json"

refuses() { # arguments: words expected in the message, then the options
  local words=$1
  shift
  if "$program" "$@" >"$work/error.txt" 2>&1; then echo "FAILED: accepted: $*"; failed=1; fi
  grep -qF -- "$words" "$work/error.txt" || { echo "FAILED: no \"$words\" in the answer to: $*"; cat "$work/error.txt"; failed=1; }
}
mkdir -p "$work/empty" "$work/broken/checkpoints"
head -c 1000 "$work/whole/checkpoints/step-000000012.json" >"$work/broken/checkpoints/step-000000012.json"
refuses mricron-data --data "$work/empty" --output "$work/x"
refuses ch2.nii.gz --data "$work/empty" --output "$work/x"
refuses none --resume --spacing 6 --output "$work/broken"
refuses 'steps' --steps 0 --output "$work/x"
refuses 'spacing' --spacing 2.5 --output "$work/x"
refuses 'steps' --resume --steps 13 --spacing 6 --output "$work/part"
refuses '--nonsense' --nonsense
refuses '--allow-other-settings' --resume --steps 13 --spacing 6 --output "$work/part"
run --resume --steps 13 --allow-other-settings --output "$work/part" >"$work/longer.txt" 2>&1
expect 'more steps are trained where that is allowed' "[ $? = 0 ] && grep -q 'after step 12' '$work/longer.txt' && grep -q '^1 steps in' '$work/longer.txt'"

# An edited checkpoint: lists that are too short, too long, or with steps that did not happen; then other data.
edited() { # arguments: words expected in the message, Python code that edits the values of the history
  mkdir -p "$work/edited/checkpoints"
  python3 - "$work/whole/checkpoints/step-000000012.json" "$work/edited/checkpoints/step-000000012.json" "$2" <<'END' || exit 2
import json, sys
document = json.load(open(sys.argv[1]))
del document["crc32"]
parts = document["parts"]
history, settings = parts["history"]["values"], parts["settings"]["values"]
exec(sys.argv[3])
json.dump(document, open(sys.argv[2], "w"))
END
  refuses "$1" --resume --steps 12 --spacing 6 --output "$work/edited"
}
edited '[history] dice_0: got 6 values; must be 7' 'history["dice_0"].pop()'
edited '[history] dice_0: got 70 values; must be 7' 'history["dice_0"] *= 10'
edited '[history] dice_0: got 0 values; must be 7' 'history["dice_0"] = {"f64": []}'
edited 'dice_1' 'history["evaluated_at"] = [6, 12]'
edited '[history] evaluated_at: got 13 after -1; must rise, to 12 at most' 'history["evaluated_at"] = [13]'
edited 'is of step 12, with the losses of 13 steps' 'history["loss"].append(1.5)'
edited "data: the checkpoint's run had other data of the same size; their CRC-32 was 5" 'settings["data_crc32"] = 5'

# Messages and results that cannot be written.
"$program" --data /nonexistent --output "$work/x" 2>/dev/full
expect 'a message that cannot be written changes nothing in the exit status' "[ $? = 1 ]"
mkdir -p "$work/blocked/report.html"
refuses 'report.html: it is a folder' --steps 100000 --spacing 6 --output "$work/blocked"

# Two runs with one folder: the second is refused and names the process of the first.
"$program" --spacing 6 --steps 100000 --output "$work/two" >"$work/first.txt" 2>&1 &
first=$!
for i in $(seq 600); do [ -s "$work/two/checkpoints/run.lock" ] && break; sleep 0.1; done
refuses "is in use by process $first" --steps 2 --spacing 6 --output "$work/two"
refuses "is in use by process $first" --steps 2 --spacing 6 --resume --output "$work/two"
kill $first
wait $first
expect 'the first goes on until it is stopped' "[ $? = 143 ]"
expect 'and removes its lock' "[ ! -e '$work/two/checkpoints/run.lock' ]"

mkdir -p "$work/bad"
cp /usr/share/mricron/templates/aal.nii.txt "$work/bad"
head -c 2000 /usr/share/mricron/templates/ch2.nii.gz >"$work/bad/ch2.nii.gz"
cp /usr/share/mricron/templates/aal.nii.gz "$work/bad"
refuses ch2.nii.gz --data "$work/bad" --output "$work/x"
expect 'nothing is written when a run is refused' "[ ! -e '$work/x' ]"
exit $failed
