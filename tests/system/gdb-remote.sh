#!/bin/sh
# SPDX-License-Identifier: MIT
# A server of a replay and the clients that come and go: Ctrl-C, detach and reconnect, run, kill.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/racing-list/racing-list.elf
expect_status 0 "$CV" record -o "$WORK/run.cvr" --kernel "$guest" --memory 16M --clock virtual --until insns=200000000
python3 "$top/tests/gdb/remote.py" "$CV" "$WORK/run.cvr" "$guest" "$WORK" || fail "GDB and a server"
