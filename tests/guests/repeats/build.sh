#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: OUTDIR/repeats.elf
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
${CC:-gcc} -m32 -fno-pic -no-pie -nostdlib -static -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-z,noexecstack \
	-Wl,-T,"$here/../boot/multiboot.ld" -o "$out/repeats.elf" "$here/repeats.S"
