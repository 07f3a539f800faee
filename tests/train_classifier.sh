#!/usr/bin/env bash
# Runs train_classifier on small data: checks its output, that a resumed run equals the undisturbed one, MedMNIST archives, and the messages for bad ones.
# usage: train_classifier.sh PROGRAM WORK_DIR
set -u
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" || exit 2
failed=0
expect() { if ! eval "$2"; then echo "FAILED: $1"; failed=1; fi; }
run() { "$program" --width 4 --batch 4 "$@"; }

run --size 12 --steps 6 --threads 2 --checkpoint-every 3 --output "$work/whole" >"$work/whole.txt" 2>&1
expect 'a run of 6 steps ends with 0' "[ $? = 0 ]"
expect 'the first line counts the net and the data' "head -n 1 '$work/whole.txt' | grep -qE '^resnet10: [0-9]+ parameters; 4096 training, 128 validation, 512 test samples of \(12, 12, 12, 1\), 8 classes$'"
expect 'the last line is the accuracy' "tail -n 1 '$work/whole.txt' | grep -qE '^held-out accuracy 0\.[0-9]{3} \(always the commonest class: 0\.125\)$'"
expect 'each class has a line' "[ \$(grep -cE '^(sphere|box|cylinder|cone|torus|pyramid|octahedron|cross) +64 +(0\.[0-9]{3}|1\.000|-) +[01]\.[0-9]{3}  ' '$work/whole.txt') = 8 ]"
expect 'the loss is printed' "grep -qE '^step 6/6  loss [0-9.]+$' '$work/whole.txt'"

# A run that stopped half-way has only its first checkpoint.
mkdir "$work/part" && cp "$work/whole/step-000000003.json" "$work/part"
run --size 12 --steps 6 --threads 1 --checkpoint-every 3 --output "$work/part" --resume >"$work/part.txt" 2>&1
expect 'a resumed run ends with 0' "[ $? = 0 ]"
expect 'a resumed run says where it goes on' "grep -q 'after step 3' '$work/part.txt'"
expect 'and ends with the same bytes, with another number of threads' "diff -r '$work/whole' '$work/part'"
expect 'and the same accuracy' "[ \"\$(tail -n 1 '$work/whole.txt')\" = \"\$(tail -n 1 '$work/part.txt')\" ]"

for net in resnet18 r2plus1d c3d; do
  size=8 && [ $net = c3d ] && size=16
  run --net $net --size $size --steps 1 --augment shift --smoothing 0 >"$work/net.txt" 2>&1
  expect "$net takes a step" "[ $? = 0 ] && grep -q '^$net: ' '$work/net.txt' && grep -q '^held-out accuracy' '$work/net.txt'"
done
"$program" --net voxnet --size 16 --steps 1 --batch 4 --augment none >"$work/net.txt" 2>&1
expect 'voxnet takes a step' "[ $? = 0 ] && grep -q '^held-out accuracy' '$work/net.txt'"

# Archives with MedMNIST's types and three classes that differ in brightness; then one archive per possible mistake.
/usr/bin/python3 - "$work" <<'END' || exit 2
import sys
import numpy as np

work = sys.argv[1]
rng = np.random.default_rng(0)
good = {}
for part, count in (("train", 12), ("val", 3), ("test", 6)):
    labels = np.arange(count) % 3
    images = labels[:, None, None, None] * 80 + rng.integers(0, 40, (count, 9, 8, 8))
    good[part + "_images"] = images.astype(np.uint8)
    good[part + "_labels"] = labels.reshape(-1, 1).astype(np.int64)
half, minus, far = (good["test_labels"].astype(t) for t in (np.float32, np.int64, np.int64))
minus[4], far[1] = -2, 5000
bad = {
    "missing": {"val_labels": None},
    "rank": {"train_images": good["train_images"][0]},
    "float": {"train_images": good["train_images"] / 255},
    "range": {"val_images": good["val_images"].astype(np.int32) + 100},
    "extent": {"test_images": good["test_images"][:, :8]},
    "fraction": {"test_labels": half},
    "negative": {"test_labels": minus},
    "far": {"test_labels": far},
    "count": {"train_labels": good["train_labels"][:-1]},
    "many": {"train_labels": np.repeat(good["train_labels"], 2, axis=1)},
    "empty": {"val_images": good["val_images"][:0], "val_labels": good["val_labels"][:0]},
    "one": {part + "_labels": 0 * good[part + "_labels"] for part in ("train", "val", "test")},
}
np.savez_compressed(work + "/good.npz", **good)
np.savez(work + "/channels.npz", **{k: a[..., None] if a.ndim == 4 else a[:, 0].astype(np.uint8) for k, a in good.items()})
for name, change in bad.items():
    np.savez(f"{work}/{name}.npz", **{k: a for k, a in {**good, **change}.items() if a is not None})
END
run --data "$work/good.npz" --epochs 2 --threads 2 --output "$work/archive" --checkpoint-every 6 >"$work/good.txt" 2>&1
expect 'an archive is learnt from' "[ $? = 0 ]"
expect 'its volumes are counted' "grep -q '12 training, 3 validation, 6 test samples of (9, 8, 8, 1), 3 classes' '$work/good.txt'"
expect 'two epochs of 12 in batches of 4 are 6 steps' "grep -q '^step 6/6 ' '$work/good.txt'"
expect 'its classes have lines' "[ \$(grep -cE '^class [012] +2 ' '$work/good.txt') = 3 ]"
expect 'the commonest class is a third' "grep -q 'commonest class: 0.333' '$work/good.txt'"
run --data "$work/channels.npz" --epochs 2 --output "$work/channels" --checkpoint-every 6 >/dev/null 2>&1
expect 'with a channel axis and plain labels it is the same archive' "[ $? = 0 ] && diff -r '$work/archive' '$work/channels'"

refuses() { # arguments: words expected in the message, then the options
  local words=$1
  shift
  if run --steps 2 "$@" >"$work/error.txt" 2>&1; then echo "FAILED: accepted: $*"; failed=1; fi
  grep -qF -- "$words" "$work/error.txt" || { echo "FAILED: no \"$words\" in the answer to: $*"; cat "$work/error.txt"; failed=1; }
}
refuses_archive() { refuses "[train_classifier] --data: $work/$1.npz: array $2" --data "$work/$1.npz" --output "$work/x"; }
refuses_archive missing 'val_labels: it is not there; the file has train_images, train_labels, val_images, test_images, test_labels'
refuses_archive rank 'train_images: its shape is (9, 8, 8); must be (N, H, W, D) or (N, H, W, D, C)'
refuses_archive float 'train_images: its elements are f64; must be uint8'
refuses_archive range 'val_images: it has values from 1'
refuses_archive extent 'test_images: its volumes are (8, 8, 8, 1); must be (9, 8, 8, 1), as those of train_images are'
refuses_archive fraction 'test_labels: its elements are f32; must be whole numbers'
refuses_archive negative 'test_labels: label 4 is -2; must be in [0, 1000)'
refuses_archive far 'test_labels: label 1 is 5000; must be in [0, 1000)'
refuses_archive count 'train_labels: its shape is (11, 1); must be (12, 1) or (12), a label for each of train_images'
refuses_archive many 'train_labels: its shape is (12, 2); must be (12, 1)'
refuses_archive empty 'val_images: its shape is (0, 9, 8, 8); no extent may be 0'
refuses_archive one 'train_labels: every label is 0'
head -c 300 "$work/good.npz" >"$work/cut.npz"
refuses "$work/cut.npz" --data "$work/cut.npz" --output "$work/x"
refuses no/such/file --data no/such/file --output "$work/x"
refuses '--data' --data "$work/good.npz" --size 12 --output "$work/x"
refuses 'resnet50 not in' --net resnet50 --output "$work/x"
refuses '[train_classifier] --width: got 4; voxnet has one width only' --net voxnet --output "$work/x"
refuses 'wild not in' --augment wild --output "$work/x"
expect 'nothing is written when a run is refused' "[ ! -e '$work/x' ]"
refuses 'seed: the checkpoint' --size 12 --resume --output "$work/part" --seed 1
refuses 'data: the checkpoint' --size 10 --resume --output "$work/part"
refuses '--allow-other-settings' --size 10 --resume --output "$work/part"
refuses 'optimizer.allow_other_settings()' --size 12 --resume --output "$work/part" --rate 1e-3
run --size 12 --steps 6 --resume --output "$work/part" --rate 1e-3 --allow-other-settings >"$work/other.txt" 2>&1
expect 'other settings are taken where that is allowed' "[ $? = 0 ] && grep -q 'after step 6' '$work/other.txt'"
"$program" --data /nonexistent 2>/dev/full
expect 'a message that cannot be written changes nothing in the exit status' "[ $? = 1 ]"
refuses 'smoothing: the checkpoint' --size 12 --resume --output "$work/part" --smoothing 0.2
exit $failed
