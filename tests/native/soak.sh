#!/bin/sh
# SPDX-License-Identifier: MIT
# soak.sh [CASES] [SEED]: the host-CPU oracle over many cases (default: a thousand million), one process a processor; 64-bit code and,
# for a tenth of them, 32-bit code. Writes the result to soak.txt in the current folder, and progress to the terminal.
# NATIVE names the program, JOBS the number of processes, SECONDS_MAX after how long to stop.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cases=${1:-1000000000} seed=${2:-$(date +%Y%m%d)}
NATIVE=${NATIVE:-$here/../../build/tests/native/native}
JOBS=${JOBS:-$(nproc)}
limit=${SECONDS_MAX:+--seconds $SECONDS_MAX}
[ "$(uname -m)" = x86_64 ] || {
	echo "soak: needs an x86-64 host" >&2
	exit 77
}
work=$(mktemp -d "${TMPDIR:-/tmp}/cv-soak-XXXXXX")
trap 'rm -rf "$work"' EXIT
each=$((cases / JOBS))
start=$(date +%s)
pids= progress=
[ -t 2 ] && progress=--progress
k=0
while [ "$k" -lt "$JOBS" ]; do
	first=$((k * each / 32 * 32)) # a whole encoding
	{
		status=0
		nice "$NATIVE" --seed "$seed" --first "$first" --cases "$each" --max-failures 100 $limit $progress >"$work/out-$k" || status=1
		echo "$status" >"$work/status-$k"
	} &
	pids="$pids $!"
	progress=
	k=$((k + 1))
done
for pid in $pids; do
	wait "$pid" || :
done
{
	echo "Host: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $JOBS processes, $(($(date +%s) - start)) s"
	cat "$work"/out-*
} >soak.txt
grep -h '^seed' soak.txt
cat "$work"/status-* | grep -q 1 && {
	echo "soak: host and engine differ: see soak.txt" >&2
	exit 1
}
exit 0
