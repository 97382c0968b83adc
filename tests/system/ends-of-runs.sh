#!/bin/sh
# SPDX-License-Identifier: MIT
# How runs end, and with what status: by the guest, by --until, by a reset or not with --reboot, by a crash. Each replays.
. "$(dirname "$0")/../lib.sh"
"$top/tests/guests/reset/build.sh" "$WORK/guests"
guest=$WORK/guests/reset.elf

# typed KEYS STATUS OPTIONS...: types one key each time the guest says "up"; the run ends with the status, the replay the same
typed() {
	printf '%s' "$1" | sed 's/./&\n/g' >"$WORK/keys"
	status=$2
	shift 2
	got=0
	python3 "$top/tests/gdb/feed.py" 1 up "$WORK/keys" "$CV" record -o "$WORK/run.cvr" --force --kernel "$guest" \
		--memory 16M "$@" >"$WORK/first" 2>"$WORK/err1" || got=$?
	[ $got -eq "$status" ] || { cat "$WORK/err1" >&2; fail "status $got instead of $status: $(tr -d '\n' <"$WORK/keys") $*"; }
	expect_status "$status" "$CV" replay "$WORK/run.cvr"
	cmp "$WORK/first" "$WORK/out" || fail "replay printed other bytes"
	grep -q 'as recorded' "$WORK/err" || fail "replay did not end as recorded"
}
ends() { # ends PATTERN [UPS]
	grep -q -- "$1" "$WORK/err1" || { cat "$WORK/err1" >&2; fail "it does not say '$1'"; }
	[ "$(grep -c up "$WORK/first")" -eq "${2:-1}" ] || { cat "$WORK/first" >&2; fail "not ${2:-1} times up"; }
}
for clock in host virtual; do
	typed q 0 --clock $clock
	ends 'ended: debug exit after'
	typed f 3 --clock $clock
	ends 'GUEST CRASH: the guest wrote a failure to the debug-exit port (3)'
	typed k 0 --clock $clock
	ends 'ended: reset after'
	typed p 0 --clock $clock
	ends 'ended: reset after'
	typed kppkq 0 --clock $clock --reboot
	ends 'ended: debug exit after' 5
	typed pt 3 --clock $clock --reboot
	ends 'GUEST CRASH: triple fault' 2
done
echo "resets and debug exits: ok"

# calm OPTIONS...: records the racing guest, again when its race hits
calm() {
	got=3
	while [ $got -eq 3 ]; do
		got=0
		"$CV" record --force "$@" >"$WORK/out" 2>"$WORK/err" </dev/null || got=$?
	done
	[ $got -eq 0 ] || fail "status $got: record $*"
}
# --until insns=N: exactly there, for every command.
sample=$GUESTS/racing-list/racing-list.elf
calm -o "$WORK/n.cvr" --kernel "$sample" --memory 16M --until insns=1234567
grep -q 'ended: stopped after 1234567 instructions' "$WORK/err" || { cat "$WORK/err" >&2; fail "not after 1234567"; }
expect_status 0 "$CV" replay "$WORK/n.cvr"
grep -q 'insns 1234567,' "$WORK/err" || fail "the replay ends elsewhere"
expect_status 0 "$CV" replay "$WORK/n.cvr" --until insns=1000001
grep -q 'stopped as asked: insns 1000001,' "$WORK/err" || { cat "$WORK/err" >&2; fail "replay --until"; }
first=$(digest_of "$WORK/err")
expect_status 0 "$CV" replay "$WORK/n.cvr" --until insns=1000001
[ "$first" = "$(digest_of "$WORK/err")" ] || fail "another digest at the same place"
expect_status 0 "$CV" run --kernel "$sample" --memory 16M --until insns=1000001
grep -q 'stopped after 1000001 instructions' "$WORK/err" || { cat "$WORK/err" >&2; fail "run --until"; }
"$CV" debug "$WORK/n.cvr" -- -batch -ex 'monitor seek end' -ex 'monitor when' >"$WORK/gdb" 2>&1 </dev/null
grep -q '^insns 1234567 ' "$WORK/gdb" || { cat "$WORK/gdb" >&2; fail "GDB finds another end"; }
# With the virtual clock two recordings are one.
for i in 1 2; do
	expect_status 0 "$CV" record -o "$WORK/v$i.cvr" --clock virtual --kernel "$sample" --memory 16M --until insns=50000000
	expect_status 0 "$CV" replay "$WORK/v$i.cvr"
	digest_of "$WORK/err" >"$WORK/v$i"
done
cmp "$WORK/v1" "$WORK/v2" || fail "two runs with the virtual clock differ"
echo "--until insns: ok"

# --until console=REGEX, an extended one, on the line so far.
calm -o "$WORK/c.cvr" --kernel "$sample" --memory 16M --until 'console=^racing.*: (2|9)00 samples'
grep -q '200 samples' "$WORK/out" && ! grep -q '400 samples' "$WORK/out" || { cat "$WORK/out" >&2; fail "--until console"; }
cp "$WORK/out" "$WORK/first"
expect_status 0 "$CV" replay "$WORK/c.cvr"
cmp "$WORK/first" "$WORK/out" || fail "replay printed other bytes"
echo "--until console: ok"

# --loop: runs that end well are not kept.
expect_status 0 "$CV" record -o "$WORK/l.cvr" --kernel "$sample" --memory 16M --clock virtual --loop 2 --until crash
grep -q 'run 2 of 2: debug exit, no crash' "$WORK/err" || { cat "$WORK/err" >&2; fail "--loop"; }
expect_status 3 "$CV" record -o "$WORK/s.cvr" --kernel "$GUESTS/stack-overflow/stack-overflow.elf" --memory 16M --loop 9 \
	--until crash
grep -q 'run 1 of 9 crashed: kept' "$WORK/err" || { cat "$WORK/err" >&2; fail "--loop until a crash"; }
expect_status 3 "$CV" replay "$WORK/s.cvr"
echo "--loop: ok"
