#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: the guests that examine the system side of the CPU, as ELF32 Multiboot images: 32-bit ones, and 64-bit ones on the
# runtime of ../modes.
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
modes=$here/../modes
mkdir -p "$out"
flags="-std=gnu11 -O1 -g -Wall -Wextra -Werror -fno-pic -no-pie -mgeneral-regs-only -fno-stack-protector -fcf-protection=none
	-fno-asynchronous-unwind-tables -fno-strict-aliasing"
link="-ffreestanding -nostdlib -static -Wl,-T,$modes/guest.ld -Wl,--build-id=none -Wl,--no-warn-rwx-segments
	-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack"
for name in tasks protection; do
	[ -e "$here/$name.c" ] || continue
	# shellcheck disable=SC2086
	${CC:-gcc} -m32 $flags $link -o "$out/$name.elf" "$here/$name.c"
done
for name in state translation events instructions; do
	[ -e "$here/$name.c" ] || continue
	# shellcheck disable=SC2086
	${CC:-gcc} -m64 -mcmodel=small -mno-red-zone $flags $link -I "$modes" -o "$out/$name.elf64" "$modes/boot64.S" "$modes/guest.c" \
		"$here/$name.c"
	${OBJCOPY:-objcopy} -O elf32-i386 "$out/$name.elf64" "$out/$name.elf"
done
