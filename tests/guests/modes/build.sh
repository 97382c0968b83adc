#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: the guests that examine the CPU's modes and the machine, as ELF32 Multiboot images of 64-bit code (legacy: 32-bit).
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
link="-ffreestanding -nostdlib -static -Wl,-T,$here/guest.ld -Wl,--build-id=none -Wl,--no-warn-rwx-segments
	-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack"
for name in faults paging debug machine; do
	[ -e "$here/$name.c" ] || continue
	# shellcheck disable=SC2086
	${CC:-gcc} -std=gnu11 -O1 -g -m64 -Wall -Wextra -Werror -fno-pic -no-pie -mcmodel=small -mno-red-zone \
		-mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
		-fno-strict-aliasing $link -o "$out/$name.elf64" "$here/boot64.S" "$here/guest.c" "$here/$name.c"
	${OBJCOPY:-objcopy} -O elf32-i386 "$out/$name.elf64" "$out/$name.elf"
done
# shellcheck disable=SC2086
${CC:-gcc} -std=gnu11 -O1 -g -m32 -Wall -Wextra -Werror -fno-pic -no-pie -mgeneral-regs-only -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing $link -o "$out/legacy.elf" "$here/legacy.c"
