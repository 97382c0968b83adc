#!/bin/sh
# SPDX-License-Identifier: MIT
# YMM registers in a real GDB, on a recording of a guest that uses them.
. "$(dirname "$0")/../lib.sh"
command -v gdb >/dev/null || skip "no gdb"
"$top/tests/guests/digest/build.sh" "$WORK" || fail "the guest doesn't build"
expect_status 0 timeout 120 "$CV" record -o "$WORK/run.cvr" --cpu v3 --clock virtual --memory 32M --kernel "$WORK/digest.elf"
python3 "$top/tests/gdb/ymm.py" "$CV" "$WORK/run.cvr" "$WORK/digest.elf64" || fail "YMM registers in GDB"
