#!/bin/sh
# SPDX-License-Identifier: MIT
# The machine as bare-metal guests see it: clocks, interrupt controllers, firmware tables, memory sizes, ways to switch it
# off, the screen in the crash report. Recorded and replayed; with the virtual clock two recordings are the same run.
. "$(dirname "$0")/../lib.sh"

"$top/tests/guests/modes/build.sh" "$WORK/guests"
guest=$WORK/guests/machine.elf

record() { # record NAME STATUS OPTIONS...: records, replays, compares
	name=$1 want=$2
	shift 2
	expect_status "$want" timeout 60 "$CV" record -o "$WORK/$name.cvr" --kernel "$guest" "$@"
	mv "$WORK/err" "$WORK/$name.err"
	mv "$WORK/out" "$WORK/$name.out"
	! grep '^FAIL' "$WORK/$name.out" >&2 || fail "$name: the checks above"
	expect_status "$want" "$CV" replay "$WORK/$name.cvr"
	cmp "$WORK/$name.out" "$WORK/out" || fail "$name: replay printed other bytes"
	grep -q 'as recorded' "$WORK/err" || fail "$name: replay did not end as recorded"
}

record checks 0 --clock virtual --memory 32M
count=$(grep -c '^ok ' "$WORK/checks.out")
[ "$count" -ge 55 ] || fail "$count checks instead of 55"
cp "$WORK/err" "$WORK/first"
record again 0 --clock virtual --memory 32M
[ "$(digest_of "$WORK/first")" = "$(digest_of "$WORK/err")" ] || fail "two runs with the virtual clock differ"
[ -n "$(digest_of "$WORK/err")" ] || fail "no digest"
record host 0 --clock host --memory 32M --append map
echo "$count checks, the same twice"

ends() { # ends HOW REASON
	record "$1" "$3" --clock virtual --memory 16M --append "$1"
	grep -q "ended: $2" "$WORK/$1.err" || fail "$1 did not end the run as $2"
}
ends s5 power-off 0
ends fadt reset 0
ends cf9 reset 0
ends i8042 reset 0
ends pvpanic 'panic device' 3
ends reboot reset 0
grep -q 'first boot' "$WORK/reboot.out" || fail "no first boot"
ends screen 'debug exit' 3
grep -q 'Hello from B8000' "$WORK/screen.err" || fail "the crash report shows no screen"
expect_status 0 timeout 30 "$CV" record -o "$WORK/rebooted.cvr" --clock virtual --memory 16M --reboot --kernel "$guest" --append reboot
grep -q 'second boot' "$WORK/out" || fail "--reboot did not restart the machine"
expect_status 0 "$CV" replay "$WORK/rebooted.cvr"
grep -q 'second boot' "$WORK/out" || fail "the replay did not restart the machine"
echo "power-off, resets, panic, reboot, screen"

# All memory but the hole from 9FC00h to 1 MiB, and its last words work.
for size in 16 256 3072 6144 16384; do
	record "map$size" 0 --clock virtual --memory ${size}M --append map
	want=$(printf '%x' $((size * 1048576 - 0x60400)))
	grep -q "^memory usable $want" "$WORK/map$size.out" || {
		cat "$WORK/map$size.out" >&2
		fail "${size}M: not $want bytes usable"
	}
done
echo "memory from 16M to 16G"
