#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: digest.elf, a Multiboot guest, and digest-host, the same as a program for this machine's CPU.
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
modes=$here/../modes
mkdir -p "$out"
flags="-std=gnu11 -O1 -g -m64 -Wall -Wextra -Werror -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-builtin"
files=
for name in digest general sse x87 avx crypto; do
	files="$files $here/$name.c"
done
# shellcheck disable=SC2086
${CC:-gcc} $flags -fno-pic -no-pie -mcmodel=small -ffreestanding -nostdlib -static -Wl,-T,"$modes/guest.ld" -Wl,--build-id=none \
	-Wl,--no-warn-rwx-segments -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -o "$out/digest.elf64" "$modes/boot64.S" \
	"$modes/guest.c" "$here/guest.c" $files
${OBJCOPY:-objcopy} -O elf32-i386 "$out/digest.elf64" "$out/digest.elf"
# shellcheck disable=SC2086
${CC:-gcc} $flags -static -o "$out/digest-host" "$here/host.c" $files
