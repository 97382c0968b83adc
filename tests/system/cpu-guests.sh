#!/bin/sh
# SPDX-License-Identifier: MIT
# The CPU as bare-metal guests see it: modes, faults, paging, debug registers, FPU state. Each is recorded and replayed.
. "$(dirname "$0")/../lib.sh"

"$top/tests/guests/modes/build.sh" "$WORK/guests"

examine() { # examine NAME CHECKS: at least so many checks, all of them good; the replay is the same run
	status=0
	timeout 60 "$CV" record -o "$WORK/$1.cvr" --clock virtual --memory 32M --kernel "$WORK/guests/$1.elf" \
		</dev/null >"$WORK/$1.out" 2>"$WORK/$1.err" || status=$?
	! grep '^FAIL' "$WORK/$1.out" >&2 || fail "$1: the checks above"
	[ $status -eq 0 ] || { cat "$WORK/$1.err" >&2; fail "$1: recording ended with $status"; }
	count=$(grep -c '^ok ' "$WORK/$1.out")
	[ "$count" -ge "$2" ] || fail "$1: $count checks instead of $2"
	"$CV" replay "$WORK/$1.cvr" </dev/null >"$WORK/$1.out2" 2>"$WORK/$1.err2" || fail "$1: replay ended with $?"
	cmp "$WORK/$1.out" "$WORK/$1.out2" || fail "$1: replay printed other bytes"
	grep -q 'as recorded' "$WORK/$1.err2" || fail "$1: replay did not end as recorded"
	echo "$1: $count checks, recorded and replayed"
}

examine faults 116
examine paging 111
examine debug 86
examine legacy 72

expect_status 3 "$CV" record -o "$WORK/triple.cvr" --memory 32M --kernel "$WORK/guests/faults.elf" --append triple
grep -q 'triple fault' "$WORK/err" || fail "a triple fault is not called one"
expect_status 3 "$CV" replay "$WORK/triple.cvr"
grep -q 'triple fault' "$WORK/err" || fail "the replay of a triple fault is not called one"
echo "triple fault: status 3, recorded and replayed"
