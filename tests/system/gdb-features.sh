#!/bin/sh
# SPDX-License-Identifier: MIT
# What GDB can do with a replay, in a real GDB: all moves in both directions, every kind of point, registers, memory,
# diversions, monitor commands.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/console-echo/console-echo.elf
printf 'hello\rname Ada Lovelace, Countess\rsum 1 2 39\rhello\r' >"$WORK/keys"
status=0
"$CV" record -o "$WORK/echo.cvr" --kernel "$guest" --memory 16M <"$WORK/keys" >"$WORK/out" 2>"$WORK/err" || status=$?
[ $status -eq 3 ] || { cat "$WORK/out" "$WORK/err" >&2; fail "recording ended with $status"; }
python3 "$top/tests/gdb/features.py" "$CV" "$WORK/echo.cvr" "$guest" "$WORK" || fail "GDB's features"
