#!/usr/bin/env bash
# Runs the program voxgrad on small files: checks its output, its exit status, and that conversions keep every bit.
# usage: command.sh VOXGRAD DATA CHECKPOINT WORK
set -u
voxgrad=$1 data=$2 checkpoint=$3 work=$4
rm -rf "$work" && mkdir -p "$work" || exit 2
failures=0
expect() { # status pattern... -- command...
  local status=$1 patterns=() said got pattern
  shift
  while [ "$1" != -- ]; do patterns+=("$1"); shift; done
  shift
  said=$("$@" 2>&1)
  got=$?
  [ $got = "$status" ] || { echo "status $got, not $status: $*"; echo "$said"; failures=$((failures + 1)); }
  for pattern in "${patterns[@]}"; do
    grep -qF -- "$pattern" <<<"$said" || { echo "without '$pattern': $*"; echo "$said"; failures=$((failures + 1)); }
  done
}

expect 0 'safetensors, 5 tensors, 12 elements, 60 bytes, 1 NaN, 1 Inf' 'b.weight  f32 (2, 3)  min -0 ' '1 NaN  1 Inf' '"c "quoted"\x0a"' \
  -- "$voxgrad" show "$data/package.safetensors"
expect 0 'progress' '  step  3' 'model  Net' '      weight  f32 (2,)  min 0.5  mean 0.5  max 0.5  std 0  1 NaN' 'generator.key  [0, 42]' \
  -- "$voxgrad" show "$checkpoint"
expect 0 'fortran  f64 (2, 3, 4)  min 0  mean 11.5  max 23  std 6.9222' -- "$voxgrad" show "$data/others.npz"

# Lengths of a header whose first bytes look like JSON and like a zip archive.
for length in 31520 19280; do
  python3 -c 'import struct, sys
head = b"{\"a\": {\"dtype\": \"I32\", \"shape\": [1], \"data_offsets\": [0, 4]}}"
n = int(sys.argv[1])
sys.stdout.buffer.write(struct.pack("<Q", n) + head.ljust(n) + struct.pack("<i", 7))' $length >"$work/$length.safetensors"
  expect 0 'safetensors, 1 tensors' 'a  i32 (1,)  min 7' -- "$voxgrad" show "$work/$length.safetensors"
done

# Conversions to a checkpoint and back keep every bit; the file then equals that of the safetensors package.
expect 0 '-> ' -- "$voxgrad" convert "$data/package.safetensors" --to json -o "$work/plain.json"
expect 0 'equal: ' -- "$voxgrad" diff "$data/package.safetensors" "$work/plain.json"
expect 0 -- "$voxgrad" convert "$work/plain.json" --to safetensors -o "$work/back.safetensors"
cmp "$work/back.safetensors" "$data/package.safetensors" || failures=$((failures + 1))
expect 0 'npz has no place for 1 values' -- "$voxgrad" convert "$data/package.safetensors" --to npz -o "$work/plain.npz"
expect 1 '- note: ' '1 difference' -- "$voxgrad" diff "$work/back.safetensors" "$work/plain.npz"
expect 0 -- "$voxgrad" convert "$checkpoint" --to json -o "$work/same.json"
expect 0 'equal: checkpoint, 5 tensors' -- "$voxgrad" diff "$checkpoint" "$work/same.json"
expect 0 'safetensors has no place for 19 values' -- "$voxgrad" convert "$checkpoint" --to safetensors -o "$work/model.safetensors"
expect 0 'model.c.weight' '  i  i32 ()  min 7' 'progress' -- "$voxgrad" show "$work/model.safetensors"

expect 0 -- "$voxgrad" convert "$checkpoint" --to base64 -o "$work/base64.json"
expect 0 'equal: checkpoint' -- "$voxgrad" diff "$checkpoint" "$work/base64.json"
expect 0 -- grep -q '"encoding": "base64"' "$work/base64.json"

# A model from a file alone: one 1x1x1 convolution that computes x and 8.5 - x on voxels 256, 770, 1284, 1798; then the label of the larger one.
model=$data/../predict_model.json
volume=$(dirname "$checkpoint")/../nifti/int16
expect 0 '(2, 2, 1) -> ' ': (2, 2, 1, 2)' -- "$voxgrad" predict "$model" "$volume" "$work/out.nii"
expect 0 '0000804300804044' -- sh -c "tail -c 32 '$work/out.nii' | od -An -v -tx1 | tr -d ' \n'"
expect 0 ': (2, 2, 1)' -- "$voxgrad" predict "$model" "$volume" "$work/labels.nii.gz" --labels
# Windows give the same labels.
expect 0 -- "$voxgrad" predict "$model" "$volume" "$work/labels.nii" --labels
[ "$(od -An -tu2 -j 70 -N 2 "$work/labels.nii" | tr -d ' ')" = 2 ] || { echo "labels are not uint8"; failures=$((failures + 1)); }
expect 0 -- "$voxgrad" predict "$model" "$volume" "$work/windows.nii" --labels --window 1 2 3 --overlap 0.25
expect 0 -- cmp "$work/labels.nii" "$work/windows.nii"
expect 2 '[sliding_window] overlap: got 1; must be in [0, 1)' -- "$voxgrad" predict "$model" "$volume" "$work/none.nii" --window 1 2 3 --overlap 1
expect 2 '--window' -- "$voxgrad" predict "$model" "$volume" "$work/none.nii" --overlap 0.5
expect 2 'voxgrad: [' -- "$voxgrad" predict "$checkpoint" "$volume" "$work/none.nii"

# A net with a skip connection, on extents that are not multiples of its stride.
python3 -c 'import json, struct, sys
none = {"i64": []}
pool = {"kind": "MaxPool3d", "options": {"kernel_size": [2, 2, 1], "stride": [2, 2, 1], "padding": "VALID", "in_size": none, "name": ""}}
up = {"kind": "Upsample", "options": {"scale": [2, 2, 1], "mode": "nearest", "in_size": none, "name": ""}}
net = {"kind": "Branches", "options": {"join": "concat", "name": ""}, "children": {
    "branches.0": {"kind": "Sequential", "children": {"layers.0": pool, "layers.1": up}}, "branches.1": {"kind": "Identity"}}}
json.dump({"format": "voxgrad-checkpoint", "version": 2, "model": {"description": net, "states": {}}}, open(sys.argv[1], "w"))
h = bytearray(352)
struct.pack_into("<i", h, 0, 348)
struct.pack_into("<4h", h, 40, 3, 5, 3, 1)
struct.pack_into("<2h", h, 70, 2, 8)
struct.pack_into("<f", h, 108, 352)
h[344:348] = b"n+1\0"
open(sys.argv[2], "wb").write(bytes(h) + bytes(range(15)))' "$work/skip.json" "$work/odd.nii"
expect 2 'The volume is 5 x 3 x 1' 'multiples of 2, 2 and 1' '--window 4 2 1' -- "$voxgrad" predict "$work/skip.json" "$work/odd.nii" "$work/none.nii"
expect 0 ': (5, 3, 1, 2)' -- "$voxgrad" predict "$work/skip.json" "$work/odd.nii" "$work/windowed.nii" --window 4 2 1

# Differences.
sed 's/"step": 3/"step": 4/; s/0\.5,/0.75,/' "$checkpoint" >"$work/changed.json"
expect 1 '~ progress.step: 3 -> 4' '~ model.c.weight.weight: 1 of 2 values differ, at most by 0.25: [0] 0.5 -> 0.75' '4 differences' \
  -- "$voxgrad" diff "$checkpoint" "$work/changed.json"
expect 1 '- u8: i32 (2,)' '+ ramp: f32 (3, 1000)' -- "$voxgrad" diff "$data/others.npz" "$data/numpy_deflated.npz"

# Damage and misuse.
for file in "$data/package.safetensors" "$data/others.npz" "$checkpoint"; do
  case $file in
    *.safetensors) expect 0 ': consistent: ' 'safetensors has no checksum' -- "$voxgrad" verify "$file" ;;
    *.npz) expect 0 ': whole, its checksums are right: npz' -- "$voxgrad" verify "$file" ;;
    *) expect 0 ': consistent: ' 'no checksum of the whole' -- "$voxgrad" verify "$file" ;;
  esac
  head -c 200 "$file" >"$work/cut"
  expect 1 "voxgrad: [" "$work/cut" -- "$voxgrad" verify "$work/cut"
  expect 2 "voxgrad: [" -- "$voxgrad" show "$work/cut"
done
expect 2 'no/such/file' -- "$voxgrad" diff "$checkpoint" no/such/file
expect 1 'no/such/file' -- "$voxgrad" verify no/such/file
"$voxgrad" verify no/such/file 2>/dev/full
[ $? = 1 ] || { echo "a message that cannot be written changes the exit status"; failures=$((failures + 1)); }
for command in show verify; do
  status=2
  [ $command = verify ] && status=1
  "$voxgrad" $command "$checkpoint" >/dev/full 2>"$work/said"
  [ $? = $status ] && grep -q 'voxgrad: the standard output cannot be written to' "$work/said" || {
    echo "$command does not tell that its output is lost"
    failures=$((failures + 1))
  }
done
expect 2 'A subcommand is required' -- "$voxgrad"
expect 2 'voxgrad: unknown command "shwo"; did you mean show?' 'Commands are show, diff, verify, convert, predict' -- "$voxgrad" shwo x
expect 2 'voxgrad: unknown command "frobnicate"' -- "$voxgrad" frobnicate
expect 0 'voxgrad 0.' -- "$voxgrad" --version
mkfifo "$work/pipe"
expect 1 'it is a FIFO or pipe, not a regular file' -- timeout 5 "$voxgrad" verify "$work/pipe"
expect 2 'it is a directory, not a regular file' -- "$voxgrad" show "$work"
expect 2 'it is a FIFO or pipe' -- timeout 5 sh -c "echo x | '$voxgrad' show /dev/stdin"
expect 2 'it looks like gzip: a NIfTI volume' -- "$voxgrad" show "$work/labels.nii.gz"
expect 0 ': whole, its checksums are right: checkpoint' -- "$voxgrad" verify "$work/same.json"

# Names with control sequences of a terminal, and names that point out of a folder.
python3 -c 'import json, struct, sys
head = json.dumps({n: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in ("\x1b[2J", "a\u009b1m", "\u202etxt", "../x")}, ensure_ascii=False).encode()
sys.stdout.buffer.write(struct.pack("<Q", len(head)) + head)' >"$work/names.safetensors"
expect 0 '"\x1b[2J"' '"a\u009b1m"' '"\u202etxt"' -- "$voxgrad" show "$work/names.safetensors"
expect 1 '"\u202etxt"' -- "$voxgrad" diff "$work/names.safetensors" "$data/package.safetensors"
for command in show 'diff'; do
  other=
  [ $command = diff ] && other=$data/package.safetensors
  "$voxgrad" $command "$work/names.safetensors" $other | LC_ALL=C grep -q $'\x1b\|\xc2\x9b\|\xe2\x80\xae' && { echo "$command prints a control character"; failures=$((failures + 1)); }
done
expect 2 '[write_npz] tensors: got the name "../x", which leads out of the folder' -- "$voxgrad" convert "$work/names.safetensors" --to npz -o "$work/names.npz"
expect 2 'xml not in {' -- "$voxgrad" convert "$checkpoint" --to xml -o "$work/x"
expect 2 'cannot write' -- "$voxgrad" convert "$checkpoint" --to npz -o "$work/no/such/folder/x"
expect 0 'show' 'diff' 'verify' 'convert' 'predict' -- "$voxgrad" --help
[ $failures = 0 ]
