#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh NAME OUTDIR SOURCE...: builds an example kernel into OUTDIR/NAME.elf, with symbols. CC is the compiler.
set -eu
name=$1 out=$2
shift 2
common=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
# -O1: fast enough, and still the statements of the source. No SSE: interrupts don't save it.
${CC:-gcc} -std=gnu11 -O1 -g3 -gdwarf-4 -m64 -Wall -Wextra -Werror \
	-ffreestanding -fno-pic -no-pie -mcmodel=small -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fcf-protection=none -fno-omit-frame-pointer -fno-optimize-sibling-calls \
	-fasynchronous-unwind-tables -fno-strict-aliasing -fno-inline \
	-I"$common" -nostdlib -static -Wl,-T,"$common/kernel.ld" -Wl,-z,max-page-size=4096 -Wl,--build-id=none \
	-Wl,--eh-frame-hdr -Wl,--no-warn-rwx-segments -o "$out/$name.elf" \
	"$common/boot.S" "$common/trap.S" "$common/trap.c" "$common/serial.c" "$common/string.c" "$@"
