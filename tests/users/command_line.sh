#!/usr/bin/env bash
# The command line shows, compares, verifies and converts a file from PyTorch, and labels a volume with a saved model.
# usage: command_line.sh VOXGRAD NET.safetensors FOLDER, the folder in which unet_on_nifti has run
set -eu
voxgrad=$1 net=$2 folder=$3
cd "$folder"
rm -f net.npz copy.json net.safetensors labels.nii.gz

"$voxgrad" show "$net" | grep -F '3.weight  f32 (8, 2, 3, 3, 3)'
"$voxgrad" verify "$net"
"$voxgrad" convert "$net" --to npz -o net.npz
"$voxgrad" convert "$net" --to base64 -o copy.json
"$voxgrad" convert copy.json --to safetensors -o net.safetensors
"$voxgrad" diff "$net" net.npz
"$voxgrad" diff "$net" net.safetensors

"$voxgrad" show model.json | grep -F '0  Conv3d'
"$voxgrad" predict model.json volumes/case0.nii.gz labels.nii.gz --labels --window 16 16 16
test -s labels.nii.gz

status=0
"$voxgrad" verify no_such_file 2>message || status=$?
test $status = 1
grep -F no_such_file message
