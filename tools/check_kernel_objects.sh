#!/bin/sh
# Usage: check_kernel_objects.sh OBJECT...
# Kernel files are compiled for CPUs that the process may not have. An inline function or template that leaked from one of
# them into a weak symbol could be picked by the linker for the whole program, so they may define none: this proves it.
set -eu
[ $# -gt 0 ] || { echo "usage: $0 OBJECT..." >&2; exit 2; }
bad=0
for object in "$@"; do
  [ -f "$object" ] || { echo "$object: no such file" >&2; exit 2; }
  symbols=$(nm -C --defined-only "$object")
  weak=$(printf '%s\n' "$symbols" | grep -E '^[0-9a-fA-F]* +[WwVvu] ' || true)
  if [ -n "$weak" ]; then
    printf '%s: defines weak symbols\n%s\n' "$object" "$weak" >&2
    bad=1
  fi
done
exit $bad
