#!/bin/sh
# SPDX-License-Identifier: MIT
# A real GDB: over 100 random reverse and forward steps whose states equal those seen going forward, and steps over random
# events and back; bare metal and Linux.
. "$(dirname "$0")/../lib.sh"
expect_some() { grep -q "$1" "$2" || { tail -n 30 "$2" >&2; fail "no '$1' in GDB's output"; }; }
status=0
"$CV" record -o "$WORK/bare.cvr" --kernel "$GUESTS/racing-list/racing-list.elf" --memory 32M >/dev/null 2>&1 </dev/null || status=$?
[ $status -eq 0 ] || [ $status -eq 3 ] || fail "recording ended with $status"
"$CV" debug "$WORK/bare.cvr" -- -batch -x "$top/tests/gdb/random_steps.py" >"$WORK/gdb1" 2>&1 </dev/null || { tail -n 30 "$WORK/gdb1"; fail "gdb"; }
expect_some 'states: equal' "$WORK/gdb1"
python3 "$top/tests/gdb/around_events.py" "$CV" "$WORK/bare.cvr" 5 1 || fail "around events of the bare-metal guest"
[ -e "$LINUX/vmlinuz" ] || exit 0
"$CV" record -o "$WORK/linux.cvr" --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
	--append "console=ttyS0 nokaslr" --until insns=600000000 >"$WORK/out" 2>&1 </dev/null || fail "recording Linux"
SEED=2 PLACES="20% 55% 95%" "$CV" debug "$WORK/linux.cvr" -- -batch -x "$top/tests/gdb/random_steps.py" >"$WORK/gdb2" 2>&1 </dev/null ||
	{ tail -n 30 "$WORK/gdb2"; fail "gdb on Linux"; }
expect_some 'states: equal' "$WORK/gdb2"
python3 "$top/tests/gdb/around_events.py" "$CV" "$WORK/linux.cvr" 3 2 || fail "around events of Linux"
echo ok
