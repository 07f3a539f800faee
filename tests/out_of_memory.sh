#!/usr/bin/env bash
# Runs segment_brain with less memory than it needs: it must end with a message and the status 1.
# usage: out_of_memory.sh PROGRAM WORK_DIR
set -u
program=$1 work=$2
rm -rf "$work" && mkdir -p "$work" || exit 2
failed=0 messages=0

for threads in 1 2 8; do
  for mebibytes in 40 60 80 100 120 150; do
    # 124 means that the time-out ended it, 128 and more a signal
    (ulimit -v $((mebibytes * 1024)) && exec timeout 120 "$program" --spacing 6 --steps 1 --threads $threads --output "$work/run") >"$work/out" 2>&1
    status=$?
    if grep -q 'error while loading shared libraries' "$work/out"; then continue; fi  # the program has not started
    if [ $status -gt 1 ]; then
      echo "FAILED: $mebibytes MiB, $threads threads: status $status; $(tail -n 1 "$work/out")"
      failed=1
    elif [ $status = 1 ]; then
      if grep -qE 'out of memory: .* needs [0-9]+ bytes .*the process may use' "$work/out"; then
        messages=$((messages + 1))
      elif ! grep -qE 'std::bad_alloc|no thread could be started|: Cannot allocate memory$' "$work/out"; then
        echo "FAILED: $mebibytes MiB, $threads threads: $(tail -n 1 "$work/out")"
        failed=1
      fi
    fi
  done
done
if [ $messages = 0 ]; then echo "FAILED: nothing says how many bytes were needed"; failed=1; fi
exit $failed
