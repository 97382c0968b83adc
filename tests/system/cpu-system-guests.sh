#!/bin/sh
# SPDX-License-Identifier: MIT
# The system side of the CPU as bare-metal guests see it: hardware tasks, gates and segments, state images and model-specific registers,
# translation with all that CR4 can ask for. Each is recorded and replayed, on the CPU model that has what it examines.
. "$(dirname "$0")/../lib.sh"

"$top/tests/guests/system/build.sh" "$WORK/guests"

examine() { # examine NAME CPU CHECKS: at least so many checks, all of them good; the replay is the same run
	status=0
	timeout 60 "$CV" record -o "$WORK/$1.cvr" --clock virtual --memory 32M --cpu "$2" --kernel "$WORK/guests/$1.elf" \
		</dev/null >"$WORK/$1.out" 2>"$WORK/$1.err" || status=$?
	! grep '^FAIL' "$WORK/$1.out" >&2 || fail "$1 on $2: the checks above"
	[ $status -eq 0 ] || { cat "$WORK/$1.err" >&2; fail "$1 on $2: recording ended with $status"; }
	count=$(grep -c '^ok ' "$WORK/$1.out")
	[ "$count" -ge "$3" ] || fail "$1 on $2: $count checks instead of $3"
	"$CV" replay "$WORK/$1.cvr" </dev/null >"$WORK/$1.out2" 2>"$WORK/$1.err2" || fail "$1 on $2: replay ended with $?"
	cmp "$WORK/$1.out" "$WORK/$1.out2" || fail "$1 on $2: replay printed other bytes"
	grep -q 'as recorded' "$WORK/$1.err2" || fail "$1 on $2: replay did not end as recorded"
	echo "$1 on $2: $count checks, recorded and replayed"
	rm "$WORK/$1.cvr"
}

examine tasks v2 220
examine protection v2 455
examine state v2 150
examine state v3 150
examine translation v2 53
examine translation v3 98
examine translation v3,+la57 170
examine events v2 110
examine instructions v2 112
