#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: chaos64.elf and chaos32.elf; soup.py then fills them with bytes.
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
for bits in 64 32; do
	${CC:-gcc} -m$bits -DBITS=$bits -ffreestanding -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
		-Wl,--no-warn-rwx-segments -Wl,-Ttext-segment=0x100000 -Wl,-z,max-page-size=4096 -Wl,-N -o "$out/chaos$bits.tmp" "$here/chaos.S"
	${OBJCOPY:-objcopy} -O elf32-i386 "$out/chaos$bits.tmp" "$out/chaos$bits.elf"
	rm "$out/chaos$bits.tmp"
done
