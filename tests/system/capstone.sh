#!/bin/sh
# SPDX-License-Identifier: MIT
# The decoder beside Capstone: random instructions in three modes, and the text of a Linux kernel where there is one. Each
# disagreement is settled by the host CPU or has its reason; docs/decoder.md lists them.
#   CAPSTONE_CASES   how many random instructions (default 4 million)
. "$(dirname "$0")/../lib.sh"

set -- --random "${CAPSTONE_CASES:-4000000}" --seed "${CAPSTONE_SEED:-20240611}"
if [ -e "$LINUX/vmlinuz" ]; then
	python3 "$top/tests/capstone/vmlinux_text.py" "$LINUX/vmlinuz" "$WORK/text"
	set -- "$@" --text "$WORK/text"
fi
"$BUILD/tests/capstone/compare" "$@" >"$WORK/out" || { cat "$WORK/out"; fail "disagreements that nothing explains"; }
cat "$WORK/out"
n=$(sed -n 's/^\([0-9]*\) compared.*/\1/p' "$WORK/out")
[ "$n" -ge "${CAPSTONE_CASES:-4000000}" ] || fail "$n compared"
