#!/bin/sh
# SPDX-License-Identifier: MIT
# The script that runs kvm-unit-tests gives the right verdicts, tried on small tests of our own; with KVM_UNIT_TESTS=DIR
# (built tests; several, divided by colons) it also runs all of theirs. The test device is in the recording.
. "$(dirname "$0")/../lib.sh"
run=$top/tests/kvm-unit-tests/run.sh
export CV
saved=$CV
"$top/tests/guests/verdict/build.sh" "$WORK/guests"

cat >"$WORK/list" <<'END'
# name  file   bits cpu memory limit append    verdict
pass    pass   64   v2  16     20    a,b       pass
words   pass   any  v2  16     20    one,bad   pass
known   fail   64   v2  16     20    -         fail two is three by the book
skip    skip   64   v2  16     20    -         pass
hang    hang   64   v2  16     1     -         pass
device  device 64   v2  16     20    -         pass
never   pass   64   v2  16     20    -         skip nobody wants it
other   pass   32   v2  16     20    -         pass
absent  absent 64   v2  16     20    -         pass
better  pass   64   v2  16     20    -         fail it used to
END
expect_status 1 "$run" -l "$WORK/list" -o "$WORK/table.md" "$WORK/guests"
cp "$WORK/out" "$WORK/said"
says() {
	grep -qxF -e "$1" "$WORK/said" || { cat "$WORK/said" >&2; fail "run.sh does not say: $1"; }
}
says 'PASS pass: 2 ok'
says 'FAIL words: 2 ok - 2'
says 'FAIL known: 1 ok, 1 FAIL - two is three: two is three by the book'
says 'SKIP skip: 0 ok - not for this CPU, it says: no such thing here'
says 'FAIL hang: 1 ok - time limit'
says 'PASS device: 1 ok'
says 'SKIP never - nobody wants it'
says 'PASS better: 2 ok - passes, though the list says that it fails'
says '3 passed, 2 skipped, 3 failed; 3 not as listed'
! grep -qE 'other|absent' "$WORK/said" || fail "run.sh speaks of tests that are not there"
grep -qxF '| known | v2 | FAIL | 1 ok, 1 FAIL | two is three: two is three by the book |' "$WORK/table.md" ||
	{ cat "$WORK/table.md" >&2; fail "no row for a known failure"; }
[ "$(wc -l <"$WORK/table.md")" -eq 10 ] || fail "the table has not 10 lines"
grep -vE '^(words|hang|better)' "$WORK/list" >"$WORK/good"
mv "$WORK/guests/hang.flat" "$WORK"
cp "$WORK/guests/pass.flat" "$WORK/guests/new.flat"
expect_status 0 "$run" -l "$WORK/good" "$WORK/guests"
grep -qx 'PASS new: 2 ok' "$WORK/out" || fail "a test that isn't in the list is not run"
grep -qxF '| new | v3 | PASS | 2 ok |  |' "$WORK/out" || fail "no table on standard output"
cp "$WORK/guests/fail.flat" "$WORK/guests/new.flat"
expect_status 1 "$run" -l "$WORK/good" "$WORK/guests"
expect_status 0 "$run" -l "$WORK/list" -t pass "$WORK/guests"
[ "$(grep -c '^PASS' "$WORK/out")" -eq 1 ] || fail "-t runs others, too"
expect_status 0 "$run" -r -l "$WORK/list" -t device "$WORK/guests"
grep -qx 'PASS device: 1 ok' "$WORK/out" || { cat "$WORK/out" >&2; fail "-r: recording and replaying"; }
expect_status 1 "$run" -r -l "$WORK/list" -t hang "$WORK"
grep -qx 'FAIL hang: 1 ok - time limit' "$WORK/out" || { cat "$WORK/out" >&2; fail "-r: a test that hangs"; }
expect_status 0 "$run" -b 32 -t other -l "$WORK/list" "$WORK/guests"
grep -qx 'PASS other: 2 ok' "$WORK/out" || fail "-b 32 does not run the 32-bit rows"
if command -v qemu-system-x86_64 >/dev/null; then
	expect_status 0 "$run" -q -l "$WORK/list" -t known "$WORK/guests"
	grep -qF '(QEMU FAIL (1): 1 ok, 1 FAIL)' "$WORK/out" || { cat "$WORK/out" >&2; fail "QEMU's verdict"; }
	expect_status 0 "$run" -q -l "$WORK/list" -t device "$WORK/guests"
	grep -qF '(QEMU PASS: 1 ok)' "$WORK/out" || { cat "$WORK/out" >&2; fail "QEMU's test device is another"; }
fi
echo "verdicts: ok"

refuses() { # refuses WORDS ARGUMENTS...: one line, status 2
	words=$1
	shift
	expect_status 2 "$run" "$@"
	[ "$(wc -l <"$WORK/err")" -eq 1 ] && grep -qF -e "$words" "$WORK/err" || { cat "$WORK/err" >&2; fail "not one line: $words"; }
}
mkdir "$WORK/empty"
echo 'pass pass 48 v2 16 20 - pass' >"$WORK/wrong"
refuses 'give one directory'
refuses 'no such directory' "$WORK/nowhere"
refuses 'no .flat and no .elf' "$WORK/empty"
refuses "can't be read" -l "$WORK/nowhere" "$WORK/guests"
refuses 'line 1' -l "$WORK/wrong" "$WORK/guests"
refuses 'no such test' -t nothing "$WORK/guests"
refuses 'give 64 or 32' -b 16 "$WORK/guests"
CV=$WORK/nowhere
refuses 'no chronovisor there' "$WORK/guests"
CV=$saved
echo "bad input: ok"

expect_status 3 "$CV" run --memory 16M --kernel "$WORK/guests/device.flat"
grep -q 'debug-exit port (3)' "$WORK/err" || fail "there is a test device that nobody asked for"
expect_status 0 "$CV" record -o "$WORK/device.cvr" --memory 16M --kernel "$WORK/guests/device.flat" --test-device
expect_status 0 "$CV" replay "$WORK/device.cvr"
grep -q 'as recorded' "$WORK/err" || fail "the replay has another test device"
echo "test device: recorded and replayed"

[ -n "${KVM_UNIT_TESTS:-}" ] || { echo "KVM_UNIT_TESTS names no built kvm-unit-tests: theirs are left out"; exit 0; }
echo "$KVM_UNIT_TESTS" | tr : '\n' >"$WORK/dirs"
while read -r dir; do
	"$run" -o "$WORK/table.md" "$dir" || fail "$dir: not as listed"
done <"$WORK/dirs"
