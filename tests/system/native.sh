#!/bin/sh
# SPDX-License-Identifier: MIT
# Five million random instructions on the host's CPU and on the software engine: every register, flag, byte and fault agrees, in less
# than four minutes.
. "$(dirname "$0")/../lib.sh"

[ "$(uname -m)" = x86_64 ] || skip "the host isn't x86-64"
NATIVE=${NATIVE:-$BUILD/tests/native/native}
SEED=${SEED:-20240611} # the soak takes others
LIMIT=240

start=$(date +%s)
"$NATIVE" --seed "$SEED" --cases 5000000 --max-failures 10 >"$WORK/out" || {
	cat "$WORK/out" >&2
	fail "host and engine differ, seed $SEED"
}
took=$(($(date +%s) - start))
cat "$WORK/out"
grep -q "^seed $SEED: 5000000 cases from 0 on, 0 differ," "$WORK/out" || fail "not 5000000 cases were run"
ops=$(sed -n 's/^ *\([0-9]*\) operations$/\1/p' "$WORK/out")
[ "$ops" -ge 450 ] || fail "only $ops operations were met"
[ "$took" -lt "$LIMIT" ] || fail "5 million cases took $took s, not less than $LIMIT"

# A case is the same whatever runs before it: its report names how to run it again.
"$NATIVE" --mode 64 --seed 1 --first 1000 --cases 1 >"$WORK/one"
grep -q '^seed 1: 1 cases from 1000 on, 0 differ' "$WORK/one" || fail "one case by itself"

# Cases that a soak once found: images and frames at the ends of canonical addresses.
for case in 91646603 121208227 136621331 169711146; do
	"$NATIVE" --seed 20261120 --first "$case" --cases 1 >"$WORK/one" || {
		cat "$WORK/one" >&2
		fail "case $case of seed 20261120"
	}
done
for case in 92984725 385604969 498517432 498517437 498517439 542454336 542454344 542454347 731462516; do
	"$NATIVE" --seed 20261121 --first "$case" --cases 1 >"$WORK/one" || {
		cat "$WORK/one" >&2
		fail "case $case of seed 20261121"
	}
done
"$NATIVE" --seed 1 --only call_far_ind --cases 3200 >"$WORK/one" || fail "far calls"
"$NATIVE" --seed 1 --only fxsave --cases 3200 >"$WORK/one" || fail "FXSAVE"
echo "native: 5 million cases agree, $took s"
