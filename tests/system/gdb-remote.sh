#!/bin/sh
# SPDX-License-Identifier: MIT
# A server of a replay and the clients that come and go: Ctrl-C, detach and reconnect, run, kill.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/racing-list/racing-list.elf
expect_status 0 "$CV" record -o "$WORK/run.cvr" --kernel "$guest" --memory 16M --clock virtual --until insns=200000000
python3 "$top/tests/gdb/remote.py" "$CV" "$WORK/run.cvr" "$guest" "$WORK" || fail "GDB and a server"

# A recording in progress, and one whose recorder was killed: GDB goes to the last commit and back.
mkfifo "$WORK/keys"
"$CV" record -o "$WORK/cut.cvr" --kernel "$GUESTS/console-echo/console-echo.elf" --memory 16M >"$WORK/console" 2>&1 \
	<"$WORK/keys" &
recorder=$!
exec 3>"$WORK/keys"
printf 'hello\r' >&3
for _ in $(seq 100); do
	grep -q 'Good day' "$WORK/console" && break
	sleep 0.1
done
sleep 1 # a commit is due every 250 ms
look() {
	"$CV" debug "$WORK/cut.cvr" -- -batch -ex 'break greet_politely' -ex continue -ex delete -ex continue -ex 'monitor when' \
		-ex reverse-continue -ex 'monitor when' >"$WORK/gdb" 2>&1 </dev/null || { cat "$WORK/gdb" >&2; fail "GDB: $1"; }
	grep -q '^Breakpoint 1, greet_politely' "$WORK/gdb" &&
		[ "$(grep -c 'No more reverse-execution history' "$WORK/gdb")" -eq 2 ] &&
		grep -q '^insns 0 ' "$WORK/gdb" || { cat "$WORK/gdb" >&2; fail "$1"; }
}
look "a recording in progress"
kill -9 $recorder
wait $recorder 2>/dev/null || true
look "a recording whose recorder was killed"
echo "unfinished recordings: ok"
