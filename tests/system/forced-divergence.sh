#!/bin/sh
# SPDX-License-Identifier: MIT
# A recording with one thing altered, and right checksums: the replay notices, says where and what, and ends with status 4.
. "$(dirname "$0")/../lib.sh"
alter=$BUILD/tests/tools/cvr_alter
make -s -C "$BUILD" tests/tools/cvr_alter >"$WORK/make" 2>&1 || { cat "$WORK/make" >&2; fail "no cvr_alter"; }
status=3
while [ $status -eq 3 ]; do # now and then its race hits
	status=0
	"$CV" record -o "$WORK/run.cvr" --force --kernel "$GUESTS/racing-list/racing-list.elf" --memory 16M \
		--until insns=80000000 >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
done
[ $status -eq 0 ] || fail "recording ended with $status"
expect_status 0 "$CV" replay "$WORK/run.cvr"
cp "$WORK/run.cvr" "$WORK/x.cvr"

number() { # number KIND I: the I-th event of a kind, as its number among all
	"$CV" events "$WORK/run.cvr" --kind "$1" | sed -n "${2}p" | awk '{ print $1 }'
}
position() { # position N: of event number N
	"$CV" events "$WORK/run.cvr" | awk -v n="$1" '$1 == n { print $4 }'
}
# diverges PATTERN WHAT N HOW: alters, verifies the checksums, replays
diverges() {
	pattern=$1
	shift
	"$alter" "$WORK/run.cvr" "$WORK/x.cvr" "$@" || fail "cannot alter: $*"
	expect_status 0 "$CV" verify "$WORK/x.cvr"
	expect_status 4 "$CV" replay "$WORK/x.cvr"
	for want in "$pattern" '=== DIVERGENCE at insns [0-9]*, branches [0-9]*, rip 0x' 'recorded.*: .*; replayed: ' \
		'^Last instructions' '^Registers:' '^  rip '; do
		grep -q -- "$want" "$WORK/err" || { cat "$WORK/err" >&2; fail "the report does not say '$want': $*"; }
	done
	# In the disassembly: at least three instructions, and an arrow at the place.
	[ "$(sed -n '/^Last instr/,/^Registers/p' "$WORK/err" | grep -c '^ *\(=> \)\?*[0-9a-f]\{16\}  *[0-9a-f][0-9a-f] ')" -ge 3 ] &&
		grep -q '^  => [0-9a-f]\{16\} ' "$WORK/err" || { cat "$WORK/err" >&2; fail "no instructions: $*"; }
	echo "noticed: $* ($(sed -n '/=== DIVERGENCE/{n;p}' "$WORK/err"))"
}

tsc=$(number tsc 200)
time=$(number time 40)
interrupt=$(number interrupt 40)
[ -n "$tsc" ] && [ -n "$time" ] && [ -n "$interrupt" ] || fail "too few events in the recording"
# A payload: the guest computes something else from it, so a later event finds it elsewhere.
diverges 'DIVERGENCE' event "$tsc" value=12345
diverges 'DIVERGENCE' event "$time" value=3000000 # three ticks
# A position: noticed at the event itself.
at=$(position "$tsc")
diverges "recorded: tsc at insns $((at + 1)) .*replayed: tsc at insns $at " event "$tsc" insns=1
diverges "DIVERGENCE at insns $at,.* rip" event "$tsc" rip=2
diverges "DIVERGENCE at insns $at," event "$tsc" branches=1
diverges "DIVERGENCE at insns $at," event "$tsc" drop
diverges "recorded: interrupt 33 .*replayed: interrupt 32 " event "$interrupt" value=1
diverges "replayed: interrupt 32 at insns $(position "$interrupt") " event "$interrupt" drop
diverges "DIVERGENCE" event "$time" drop
# A digest.
diverges 'recorded digest: ' final 0 digest

# GDB is told as well.
"$alter" "$WORK/run.cvr" "$WORK/x.cvr" event "$tsc" rip=2
"$CV" debug "$WORK/x.cvr" -- -batch -ex continue >"$WORK/gdb" 2>&1 </dev/null || true
grep -q 'The replay left the recorded run at position' "$WORK/gdb" &&
	grep -q "recorded: tsc at insns $at " "$WORK/gdb" || { cat "$WORK/gdb" >&2; fail "GDB is not told of the divergence"; }
echo ok
