#!/bin/sh
# SPDX-License-Identifier: MIT
# Long searches backwards over Linux: Ctrl-C is heeded at once, and what the index of written pages leaves out was not there.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
expect_status 0 "$CV" record -o "$WORK/run.cvr" --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
	--append "console=ttyS0 panic=-1" --memory 128M --until insns=700000000
python3 "$top/tests/gdb/searches.py" "$CV" "$WORK/run.cvr" || fail "searches"
echo ok
