#!/bin/sh
# SPDX-License-Identifier: MIT
# How fast the engine runs loops of known kinds, beside QEMU's TCG with instruction counting, and how many host instructions
# a guest instruction costs (callgrind: exact, whatever the machine is doing). User time, so that other load counts less.
#   tests/bench/loops.sh [check]     check: status 1 where a bound is missed (integer 250, memory and branches 125 million/s)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cv=${CV:-${BUILD:-$top/build}/chronovisor}
work=$(mktemp -d "${TMPDIR:-/tmp}/cv-loops-XXXXXX")
trap 'rm -rf "$work"' EXIT
sh "$top/tests/guests/loops/build.sh" "$work"

user() { # COMMAND...: seconds of user time, the best of three
	python3 - "$@" <<'PY'
import resource, subprocess, sys
best = None
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open("/dev/null", "w"), check=False)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    best = used if best is None else min(best, used)
print("%.3f" % best)
PY
}
insns_of() { sed -n 's/.* after \([0-9]*\) instructions.*/\1/p' "$1"; }

echo "| loop | guest instructions | million/s | QEMU -icount, million/s | host instructions per guest instruction |"
echo "|---|---|---|---|---|"
missed=0
for loop in integer memory pages branches calls string simd; do
	"$cv" run --kernel "$work/loops.elf" --append $loop </dev/null 2>"$work/err" || true
	n=$(insns_of "$work/err")
	mine=$(awk -v n="$n" -v s="$(user "$cv" run --kernel "$work/loops.elf" --append $loop)" 'BEGIN { printf "%.0f", n / s / 1e6 }')
	peer=-
	if command -v qemu-system-x86_64 >/dev/null; then
		peer=$(awk -v n="$n" -v s="$(user timeout 120 qemu-system-x86_64 -accel tcg,thread=single -icount shift=auto -display none -nodefaults \
			-no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 -m 256M -kernel "$work/loops.elf" -append $loop)" \
			'BEGIN { printf "%.0f", n / s / 1e6 }')
	fi
	cost=-
	if command -v valgrind >/dev/null; then
		for words in "short $loop" "short"; do
			valgrind --tool=callgrind --callgrind-out-file="$work/cg" "$cv" run --kernel "$work/loops.elf" --append "$words" \
				</dev/null >/dev/null 2>"$work/cg.err" || true
			echo "$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/cg.err") $(insns_of "$work/cg.err")"
		done >"$work/counts"
		cost=$(awk 'NR == 1 { h = $1; g = $2 } NR == 2 { printf "%.1f", (h - $1) / (g - $2) }' "$work/counts")
	fi
	echo "| $loop | $n | $mine | $peer | $cost |"
	case $loop in
	integer) [ "$mine" -ge 250 ] || missed=1 ;;
	memory | branches) [ "$mine" -ge 125 ] || missed=1 ;;
	esac
done
[ "${1:-}" != check ] || exit $missed
