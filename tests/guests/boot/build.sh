#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: one guest for each boot protocol beside Linux and PVH:
#	multiboot32.elf  multiboot64.elf  multiboot.flat  elf64.elf
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
flags="-std=gnu11 -O1 -g -Wall -Wextra -Werror -ffreestanding -mgeneral-regs-only -fno-stack-protector -nostdlib -static
	-fcf-protection=none -fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,--no-warn-rwx-segments
	-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack"
# shellcheck disable=SC2086
{
	${CC:-gcc} -m32 -fno-pic -no-pie $flags -Wl,-T,"$here/multiboot.ld" -o "$out/multiboot32.elf" "$here/multiboot.c"
	${CC:-gcc} -m32 -fno-pic -no-pie -DADDRESSES $flags -Wl,-T,"$here/multiboot.ld" -o "$out/flat.elf" \
		"$here/multiboot.c"
	${CC:-gcc} -m64 -fpie -mno-red-zone $flags -Wl,-T,"$here/elf64.ld" -o "$out/elf64.elf" "$here/elf64.c"
}
${OBJCOPY:-objcopy} -O elf64-x86-64 "$out/multiboot32.elf" "$out/multiboot64.elf"
${OBJCOPY:-objcopy} -O binary "$out/flat.elf" "$out/multiboot.flat"
