#!/bin/sh
# SPDX-License-Identifier: MIT
# GDB on a guest that is being recorded, back into its past and forward again; the recording isn't disturbed.
. "$(dirname "$0")/../lib.sh"
python3 "$top/tests/gdb/live.py" "$CV" "$WORK" console-echo "$GUESTS/console-echo/console-echo.elf" ||
	fail "GDB on a guest that waits for input"
"$top/tests/guests/busy/build.sh" "$WORK/guests"
python3 "$top/tests/gdb/live.py" "$CV" "$WORK" busy 4 0 --kernel "$WORK/guests/busy.elf" --memory 16M ||
	fail "GDB on a guest that is busy"
