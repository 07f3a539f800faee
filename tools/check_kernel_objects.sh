#!/bin/sh
# Usage: check_kernel_objects.sh OBJECT...
# Kernel files are compiled for instructions that the CPU may not have. If one of them defined an inline function or template
# as a weak symbol, the linker could use it in the whole program. This script proves that they define none.
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
