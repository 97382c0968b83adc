#!/bin/sh
# SPDX-License-Identifier: MIT
# images.sh SECONDS [SEED]: kernels made of random bytes (tests/guests/chaos), each recorded and replayed, for so long.
# A guest may fault for ever without retiring anything; it is told to end after some seconds, and must obey. Good is: the guest runs to its bound or crashes by itself (status 0 or 3), the VMM says nothing of its own errors, and the
# replay ends as recorded. What isn't good is kept in $KEEP (default: images-failed) and ends the loop with status 1.
# CV names the program: a build with sanitizers, best.
set -u
seconds=${1:?usage: images.sh SECONDS [SEED]}
seed=${2:-1}
top=$(cd "$(dirname "$0")/../.." && pwd)
CV=${CV:-$top/build/chronovisor}
KEEP=${KEEP:-images-failed}
work=$(mktemp -d "${TMPDIR:-/tmp}/cv-images-XXXXXX")
trap 'rm -rf "$work"' EXIT
ASAN_OPTIONS=exitcode=99:detect_leaks=1
UBSAN_OPTIONS=halt_on_error=1:exitcode=99
export ASAN_OPTIONS UBSAN_OPTIONS

sh "$top/tests/guests/chaos/build.sh" "$work" || exit 1

bad() {
	mkdir -p "$KEEP"
	cp "$work"/run.* "$KEEP"/
	echo "images.sh: seed $seed ($options): $1; the files are in $KEEP" >&2
	head -n 30 "$work/run.err" "$work/run.err2" >&2
	exit 1
}

start=$(date +%s)
runs=0 crashed=0 insns=0
while [ $(($(date +%s) - start)) -lt "$seconds" ]; do
	bits=$([ $((seed % 3)) -eq 0 ] && echo 32 || echo 64)
	case $((seed % 4)) in
	0) cpu=v2 ;;
	1 | 2) cpu=v3 ;;
	*) cpu=v3,+la57 ;;
	esac
	clock=$([ $((seed % 5)) -eq 0 ] && echo host || echo virtual)
	options="--cpu $cpu --clock $clock --memory 16M --until insns=300000"
	"$top/tests/guests/chaos/soup.py" "$work/chaos$bits.elf" "$work/run.elf" "$seed" || exit 1
	status=0
	# shellcheck disable=SC2086
	timeout --foreground --preserve-status -k 20 5 "$CV" record --force -o "$work/run.cvr" --kernel "$work/run.elf" $options \
		</dev/null >"$work/run.out" 2>"$work/run.err" || status=$?
	: >"$work/run.err2"
	case $status in
	0) ;;
	3) crashed=$((crashed + 1)) ;;
	*) bad "recording ended with status $status" ;;
	esac
	again=0
	timeout -k 20 120 "$CV" replay "$work/run.cvr" </dev/null >"$work/run.out2" 2>"$work/run.err2" || again=$?
	[ $again -eq $status ] || bad "replay ended with status $again, not $status"
	grep -q 'as recorded' "$work/run.err2" || bad "replay did not end as recorded"
	cmp -s "$work/run.out" "$work/run.out2" || bad "replay printed other bytes"
	n=$(sed -n 's/.* after \([0-9]*\) instructions.*/\1/p' "$work/run.err" | tail -n 1)
	insns=$((insns + ${n:-0}))
	runs=$((runs + 1))
	seed=$((seed + 1))
	[ -t 2 ] && printf '\r%d images, %d s' "$runs" "$(($(date +%s) - start))" >&2
done
echo "$runs images recorded and replayed ($crashed crashed, $insns instructions), last seed $((seed - 1))"
[ "$runs" -gt 0 ]
