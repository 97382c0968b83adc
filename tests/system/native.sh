#!/bin/sh
# SPDX-License-Identifier: MIT
# Five million random instructions on the host's CPU and on the software engine: every register, flag, byte and fault agrees, in less
# than four minutes.
. "$(dirname "$0")/../lib.sh"

[ "$(uname -m)" = x86_64 ] || skip "the host isn't x86-64"
NATIVE=${NATIVE:-$BUILD/tests/native/native}
SEED=${SEED:-$(date +%s)}
LIMIT=240

# run MODE CASES: native agrees, and says that it ran so many
run() {
	"$NATIVE" --mode "$1" --seed "$SEED" --cases "$2" --max-failures 10 >"$WORK/out" || {
		cat "$WORK/out" >&2
		fail "host and engine differ in $1-bit code, seed $SEED"
	}
	grep -q "^seed $SEED: $2 cases from 0 on, 0 differ," "$WORK/out" || {
		cat "$WORK/out" >&2
		fail "not $2 cases were run"
	}
	ops=$(sed -n 's/^ *\([0-9]*\) operations$/\1/p' "$WORK/out")
	[ "$ops" -ge 400 ] || fail "only $ops operations were met in $1-bit code"
	cat "$WORK/out"
}

start=$(date +%s)
run 64 4500000
run 32 500000
took=$(($(date +%s) - start))
[ "$took" -lt "$LIMIT" ] || fail "5 million cases took $took s, not less than $LIMIT"

# A case is the same whatever runs before it: its report names how to run it again.
"$NATIVE" --mode 64 --seed 1 --first 1000 --cases 1 >"$WORK/one"
grep -q '^seed 1: 1 cases from 1000 on, 0 differ' "$WORK/one" || fail "one case by itself"
echo "native: 5 million cases agree, $took s"
