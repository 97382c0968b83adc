#!/bin/sh
# SPDX-License-Identifier: MIT
# The console on a terminal: raw mode, Ctrl-A and its keys; and a replay of what was typed.
. "$(dirname "$0")/../lib.sh"
command -v expect >/dev/null || skip "no expect"
guest=$GUESTS/console-echo/console-echo.elf
expect "$top/tests/gdb/terminal.exp" "$CV" "$WORK/run.cvr" "$guest" >"$WORK/out" 2>&1 </dev/null || {
	cat "$WORK/out" >&2
	fail "on a terminal"
}
grep 'terminal: ok' "$WORK/out"
expect_status 0 "$CV" replay "$WORK/run.cvr"
tr -d '\r' <"$WORK/out" >"$WORK/text"
for line in 'Good day, stranger.' 'still here' '> sum 4 9.* .*1' '^5$'; do
	grep -q -- "$line" "$WORK/text" || { cat "$WORK/text" >&2; fail "the replay does not say '$line'"; }
done
! grep -q 'Ctrl-A' "$WORK/text" || fail "the replay helps"
grep -q 'ended as recorded (stopped)' "$WORK/err" || fail "the replay does not end as recorded"
expect_status 0 "$CV" events "$WORK/run.cvr" --kind command
[ "$(awk '{ print $NF == "" ? $(NF-1) : $NF }' "$WORK/out" | tr '\n' ' ')" = '2 1 ' ] || { cat "$WORK/out" >&2; fail "the commands in the log"; }
