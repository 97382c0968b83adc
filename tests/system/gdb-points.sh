#!/bin/sh
# SPDX-License-Identifier: MIT
# A real GDB on a replay: breakpoints, watchpoints and conditions in both directions, backtraces, the ends of the recording.
. "$(dirname "$0")/../lib.sh"
elf=$GUESTS/racing-list/racing-list.elf
status=0
"$CV" record -o "$WORK/run.cvr" --kernel "$elf" --memory 32M >/dev/null 2>&1 </dev/null || status=$?
[ $status -eq 0 ] || [ $status -eq 3 ] || fail "recording ended with $status"
"$CV" debug "$WORK/run.cvr" --symbols "$elf" -- -batch -x "$top/tests/gdb/points.py" >"$WORK/gdb" 2>&1 </dev/null ||
	{ tail -n 30 "$WORK/gdb"; fail "gdb"; }
grep -q 'points: all well' "$WORK/gdb" || { tail -n 30 "$WORK/gdb"; fail "gdb ended early"; }
echo ok
