#!/bin/bash
# SPDX-License-Identifier: MIT
# The project's figures, each beside its peer or baseline in the same run. Needs a build in BUILD and about 15 minutes.
#   tests/bench/run.sh [GUESTDIR]     GUESTDIR: vmlinuz and initramfs.gz of the reference workload (made if absent)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=${BUILD:-$top/build}
cv=${CV:-$build/chronovisor}
guest=${1:-$build/guests/bench}
work=$(mktemp -d "${TMPDIR:-/tmp}/cv-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -e "$guest/initramfs.gz" ] || INIT=$here/init "$top/examples/linux/mkguest.sh" "$guest" >/dev/null
append="console=ttyS0 nokaslr panic=-1"

wall() { # NAME COMMAND...: runs it, prints its seconds, keeps its peak memory in $work/NAME.rss
	name=$1
	shift
	/usr/bin/env python3 - "$work/$name" "$@" <<'PY'
import os, resource, subprocess, sys, time
base, cmd = sys.argv[1], sys.argv[2:]
start = time.monotonic()
with open(base + ".out", "wb") as out, open(base + ".err", "wb") as err:
    status = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=out, stderr=err).returncode
print("%.2f" % (time.monotonic() - start))
with open(base + ".rss", "w") as f:
    f.write("%d\n" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
with open(base + ".status", "w") as f:
    f.write("%d\n" % status)
PY
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
insns() { sed -n 's/.*after \([0-9]*\) instructions.*/\1/p' "$1"; }

qemu=
if command -v qemu-system-x86_64 >/dev/null; then
	qemu=$(cd "$work" && wall qemu-record qemu-system-x86_64 -accel tcg,thread=single \
		-icount shift=auto,rr=record,rrfile="$work/qemu.rr" -m 256M -smp 1 -nic none -display none -monitor none \
		-serial stdio -no-reboot -kernel "$guest/vmlinuz" -initrd "$guest/initramfs.gz" -append "$append")
	grep -q WORKLOAD-DONE "$work/qemu-record.out" || qemu=
fi
machine=(--kernel "$guest/vmlinuz" --initrd "$guest/initramfs.gz" --append "$append" --memory 256M)
run=$(wall run "$cv" run "${machine[@]}")
record=$(wall record "$cv" record -o "$work/host.cvr" "${machine[@]}")
grep -q WORKLOAD-DONE "$work/record.out" || { echo "the workload did not finish" >&2; tail -n 5 "$work/record.out" "$work/record.err" >&2; exit 1; }
replay=$(wall replay "$cv" replay "$work/host.cvr")
cmp -s "$work/record.out" "$work/replay.out" || { echo "replay printed other bytes" >&2; exit 1; }
virtual=$(wall virtual "$cv" record --clock virtual -o "$work/virtual.cvr" "${machine[@]}")
n=$(insns "$work/record.err")

echo "| what | figure |"
echo "|---|---|"
[ -z "$qemu" ] || echo "| QEMU rr=record, wall s | $qemu |"
echo "| run (no log), wall s | $run |"
echo "| record, wall s | $record |"
[ -z "$qemu" ] || echo "| record / QEMU rr=record (bound: 6) | $(ratio "$record" "$qemu") |"
echo "| record / run (bound: 1.10) | $(ratio "$record" "$run") |"
echo "| replay, wall s | $replay |"
echo "| replay / record (bound: 1) | $(ratio "$replay" "$record") |"
echo "| record with --clock virtual, wall s | $virtual |"
echo "| guest instructions (host clock) | $n |"
echo "| million instructions a second | $(awk -v n="$n" -v s="$record" 'BEGIN { printf "%.0f", n / s / 1e6 }') |"
for kind in host virtual; do
	"$cv" info "$work/$kind.cvr" >"$work/$kind.info"
	echo "| $kind clock: $(sed -n 's/^events *//p' "$work/$kind.info") | file $(stat -c %s "$work/$kind.cvr") bytes, images $(sed -n 's/^images *\([0-9]*\).*/\1/p' "$work/$kind.info") |"
done
echo "| record, peak resident KiB | $(cat "$work/record.rss") |"
python3 "$here/steps.py" "$cv" "$work/host.cvr" "$n"
if [ -n "$qemu" ] && command -v qemu-img >/dev/null; then
	python3 "$here/qemu_steps.py" "$guest" "$work"
fi
