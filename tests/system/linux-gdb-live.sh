#!/bin/sh
# SPDX-License-Identifier: MIT
# GDB visits Debian's kernel while it boots and is recorded, and goes back from there; the recording replays all the same.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
for clock in host virtual; do
	python3 "$top/tests/gdb/live.py" "$CV" "$WORK" busy 4 0 --clock $clock --kernel "$LINUX/vmlinuz" \
		--initrd "$LINUX/initramfs.gz" --append "console=ttyS0 cv.run=true" --memory 128M ||
		fail "GDB on Linux while it boots, $clock clock"
done
