#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: loops.elf, a Multiboot guest.
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
modes=$here/../modes
mkdir -p "$out"
${CC:-gcc} -std=gnu11 -O1 -g -m64 -Wall -Wextra -Werror -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-builtin -fno-pic -no-pie -mcmodel=small -ffreestanding \
	-nostdlib -static -Wl,-T,"$modes/guest.ld" -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-z,max-page-size=4096 \
	-Wl,-z,noexecstack -o "$out/loops.elf64" "$modes/boot64.S" "$modes/guest.c" "$here/loops.c"
${OBJCOPY:-objcopy} -O elf32-i386 "$out/loops.elf64" "$out/loops.elf"
